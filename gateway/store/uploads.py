"""Uploads that are under way, and the datasets that came of them, as rows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Row, delete, func, insert, select, update

from gateway.artifacts.model import Dataset, Upload, UploadPurpose
from gateway.paging import PageRequest
from gateway.store.columns import micros, moment
from gateway.store.database import Database
from gateway.store.schema import datasets, uploads

_LAST_MICROSECOND = 10**17
"""Beyond any time that will be stored; what is left to it sorts the newest first."""


class UploadStore:
    """Keep uploads and datasets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, upload: Upload, created_at: datetime) -> None:
        """Keep an upload; one with the same id is replaced."""
        async with self._database.write() as db:
            await db.execute(delete(uploads).where(uploads.c.id == upload.id))
            await db.execute(insert(uploads).values(_upload_values(upload, created_at)))

    async def get(self, upload_id: str) -> Upload | None:
        """Find an upload."""
        async with self._database.read() as db:
            row = (await db.execute(select(uploads).where(uploads.c.id == upload_id))).one_or_none()
        return None if row is None else _upload(row)

    async def started_before(self, time: datetime) -> list[Upload]:
        """List the uploads that nobody started, or started again, since a time."""
        async with self._database.read() as db:
            rows = (await db.execute(select(uploads).where(uploads.c.created_at < micros(time)))).all()
        return [_upload(row) for row in rows]

    async def note_sent(self, upload_id: str, uri: str) -> None:
        """Keep what the platform calls an upload; its bytes are no longer needed here."""
        async with self._database.write() as db:
            await db.execute(update(uploads).where(uploads.c.id == upload_id).values(uri=uri))

    async def remove(self, upload_id: str) -> None:
        """Forget an upload."""
        async with self._database.write() as db:
            await db.execute(delete(uploads).where(uploads.c.id == upload_id))

    async def add_dataset(self, dataset: Dataset) -> None:
        """Keep a dataset; one with the same bytes is replaced."""
        async with self._database.write() as db:
            await db.execute(delete(datasets).where(datasets.c.sha256 == dataset.sha256))
            await db.execute(insert(datasets).values(_dataset_values(dataset)))

    async def dataset(self, sha256: str) -> Dataset | None:
        """Find a dataset by its checksum."""
        async with self._database.read() as db:
            row = (await db.execute(select(datasets).where(datasets.c.sha256 == sha256))).one_or_none()
        return None if row is None else _dataset(row)

    async def datasets(self, page: PageRequest) -> tuple[list[Dataset], str]:
        """List datasets, newest first, with the token of the next page."""
        query = select(datasets).order_by(datasets.c.created_at.desc(), datasets.c.sha256).limit(page.size + 1)
        if page.after:
            at, sha256 = _parse(page.after)
            is_as_old = (datasets.c.created_at == at) & (datasets.c.sha256 > sha256)
            query = query.where((datasets.c.created_at < at) | is_as_old)
        async with self._database.read() as db:
            rows = (await db.execute(query)).all()
        return page.cut([(_newest_first(row), _dataset(row)) for row in rows])

    async def remove_dataset(self, sha256: str) -> None:
        """Forget a dataset and the uploads that it came from."""
        is_its_upload = (uploads.c.sha256 == sha256) & (uploads.c.purpose == UploadPurpose.DATASET)
        async with self._database.write() as db:
            await db.execute(delete(datasets).where(datasets.c.sha256 == sha256))
            await db.execute(delete(uploads).where(is_its_upload))

    async def uses(self, sha256: str) -> bool:
        """Whether an upload or a dataset has these bytes."""
        uses = (datasets.c.sha256 == sha256), (uploads.c.sha256 == sha256) & (uploads.c.uri == "")
        async with self._database.read() as db:
            for use in uses:
                if (await db.execute(select(func.count()).where(use))).scalar_one():
                    return True
        return False


def _newest_first(row: Row[tuple[object, ...]]) -> str:
    return f"{_LAST_MICROSECOND - row.created_at:018d}-{row.sha256}"


def _parse(key: str) -> tuple[int, str]:
    left, _, sha256 = key.partition("-")
    return _LAST_MICROSECOND - int(left), sha256


def _upload_values(upload: Upload, created_at: datetime) -> dict[str, str | int]:
    return {
        "id": upload.id,
        "purpose": upload.purpose.value,
        "name": upload.name,
        "size": upload.size,
        "sha256": upload.sha256,
        "connection_id": upload.connection_id,
        "metadata": upload.metadata,
        "uri": upload.uri,
        "created_at": micros(created_at),
    }


def _upload(row: Row[tuple[object, ...]]) -> Upload:
    return Upload(
        id=row.id,
        purpose=UploadPurpose(row.purpose),
        name=row.name,
        size=row.size,
        sha256=row.sha256,
        connection_id=row.connection_id,
        metadata=row.metadata,
        uri=row.uri,
    )


def _dataset_values(dataset: Dataset) -> dict[str, str | int]:
    return {
        "sha256": dataset.sha256,
        "name": dataset.name,
        "size": dataset.size,
        "created_at": micros(dataset.created_at),
    }


def _dataset(row: Row[tuple[object, ...]]) -> Dataset:
    return Dataset(sha256=row.sha256, name=row.name, size=row.size, created_at=moment(row.created_at))
