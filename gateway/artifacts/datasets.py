"""Uploaded datasets: listed, found by their URI, deleted when nobody trains on them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from gateway.artifacts.blobs import Blobs, is_sha256
from gateway.artifacts.model import Dataset
from gateway.artifacts.upload_file import publish, unpublish
from gateway.errors import NotFound, WrongState
from gateway.paging import PageRequest
from gateway.store.artifacts import ArtifactStore
from gateway.store.uploads import UploadStore

_SCHEME = "upload://"


class DatasetInUse(Protocol):
    """Tells whether jobs need a dataset."""

    async def __call__(self, uri: str) -> bool:
        """Whether a job that has not ended uses the dataset."""
        ...


class Datasets:
    """Files to train on, at `<root>/<sha256>/<name>`."""

    def __init__(
        self, store: UploadStore, artifacts: ArtifactStore, blobs: Blobs, root: Path, is_in_use: DatasetInUse
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._blobs = blobs
        self._root = root
        self._is_in_use = is_in_use

    async def add(self, dataset: Dataset) -> str:
        """Keep a file that is in the blob store as a dataset, and return its URI."""
        folder = self._root / dataset.sha256
        await asyncio.to_thread(publish, self._blobs.path(dataset.sha256), folder, dataset.name)
        await self._store.add_dataset(dataset)
        return dataset.uri

    async def list(self, page: PageRequest) -> tuple[list[Dataset], str]:
        """List datasets, newest first, with the token of the next page."""
        return await self._store.datasets(page)

    async def resolve(self, uri: str) -> Path:
        """Return the file of a dataset; its name has the suffix that it was uploaded with.

        Raises:
            NotFound: The URI is not that of a dataset that is here.
        """
        dataset = await self._find(uri)
        path = self._root / dataset.sha256 / dataset.name
        if not await asyncio.to_thread(path.exists):
            if not await self._blobs.has(dataset.sha256):
                raise NotFound("dataset", uri)
            await asyncio.to_thread(publish, self._blobs.path(dataset.sha256), path.parent, dataset.name)
        return path

    async def delete(self, uri: str) -> None:
        """Delete a dataset and its file.

        Raises:
            NotFound: There is no such dataset.
            WrongState: A job that has not ended uses it.
        """
        dataset = await self._find(uri)
        if await self._is_in_use(dataset.uri):
            raise WrongState(f"a job that has not ended uses the dataset {uri}; cancel the job or wait for its end")
        await self._store.remove_dataset(dataset.sha256)
        await asyncio.to_thread(unpublish, self._root / dataset.sha256)
        await self.drop_unused(dataset.sha256)

    async def drop_unused(self, sha256: str) -> None:
        """Delete a file from the blob store if nothing needs it any more."""
        if not await self._store.uses(sha256) and not await self._artifacts.uses(sha256):
            await self._blobs.delete(sha256)

    async def _find(self, uri: str) -> Dataset:
        sha256 = uri.removeprefix(_SCHEME)
        dataset = await self._store.dataset(sha256) if uri.startswith(_SCHEME) and is_sha256(sha256) else None
        if dataset is None:
            raise NotFound("dataset", uri)
        return dataset
