"""One download of one file into the blob store, and any number of readers that follow it.

The bytes go into a `.part` file and are hashed; a cut is continued where it happened, and one by the end of the
gateway too where the platform told a checksum that proves the whole. Bytes that turn out wrong are thrown away and
fetched once more. A reader that was given some of them ends with the error, never quietly.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import replace

from gateway.artifacts.blobs import Blobs, is_sha256
from gateway.artifacts.inflow import Inflow
from gateway.artifacts.inspection import inspected
from gateway.artifacts.model import Artifact, ArtifactState, Piece
from gateway.artifacts.source import Source, part_beyond, pieces_in_time
from gateway.errors import (
    ArtifactChanged,
    BadOffset,
    ChecksumMismatch,
    ConnectorDown,
    GatewayError,
    Reason,
)

MAX_FAILURES = 5
"""Cuts in a row without progress after which a download is given up: with the pauses, about half a minute."""

PROGRESS_BYTES = 256 * 1024
"""A cut after so many bytes counts as the first again."""

FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 15.0
"""Pauses double up to this; also the most that a platform's own wish for a pause is granted."""

WRONG_BYTES = frozenset({Reason.CHECKSUM_MISMATCH, Reason.ARTIFACT_CHANGED})
"""Reasons, of the gateway or a connector, for which what came is thrown away and fetched once more."""

Sleep = Callable[[float], Awaitable[None]]
Settle = Callable[[Artifact], Awaitable[None]]

_log = logging.getLogger(__name__)


class Fill:
    """One download; `run` does it, `pieces` follows it."""

    def __init__(
        self, artifact: Artifact, source: Source, blobs: Blobs, settle: Settle, sleep: Sleep, name: str
    ) -> None:
        self.artifact = artifact
        self._name = name
        self._source = source
        self._blobs = blobs
        self._settle = settle
        self._sleep = sleep
        self._inflow: Inflow | None = None
        self._round = 0
        self._has_ended = False
        self._discarded: GatewayError | None = None
        self._fault: GatewayError | None = ConnectorDown("the download was ended by the gateway; fetch the file again")
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Download the file; how it ended is told to the readers and to `settle`, and not raised."""
        try:
            await self._fill()
            await self._settle(self.artifact)
            self._fault = None
        except GatewayError as error:
            self._fault = error
            if error.reason is Reason.CHECKSUM_MISMATCH:
                self.artifact = replace(self.artifact, state=ArtifactState.CORRUPT)
                with suppress(GatewayError):
                    await self._settle(self.artifact)
        finally:
            self.end()

    def end(self) -> None:
        """Tell the readers that nothing more comes."""
        self._has_ended = True
        self._notify()

    def pieces(self, offset: int, length: int, is_pinned: bool) -> AsyncGenerator[Piece, None]:
        """Follow the download; ends once all wanted bytes were given and the whole file is verified.

        Args:
            offset: First byte that is wanted.
            length: So many bytes; 0 = to the end.
            is_pinned: Whether the reader has bytes or an etag already, so that a second try is of no use to it.

        Raises:
            ChecksumMismatch: The bytes that were given are not those of the file.
            ArtifactChanged: The file changed on the platform meanwhile.
            BadOffset: The file is shorter than the offset.
        """
        return self._follow(offset, offset + length if length else None, self._round if is_pinned else None)

    async def _follow(self, offset: int, end: int | None, given_of: int | None) -> AsyncGenerator[Piece, None]:
        while not self._has_ended and given_of in (None, self._round):
            inflow = self._inflow
            data = await self._read(inflow, offset, end)
            if data and inflow is self._inflow:
                given_of = self._round
                yield Piece(offset, data)
                offset += len(data)
        self._raise_fault(given_of)
        size = self.artifact.size or 0
        if offset > size:
            raise bad_offset(offset, size)
        if offset < (size if end is None else min(end, size)):
            async with aclosing(self._blobs.read(self.artifact.sha256, offset, end)) as rest:
                async for piece in rest:
                    yield piece

    async def _read(self, inflow: Inflow | None, offset: int, end: int | None) -> bytes:
        changed = self._changed
        if inflow and (end is None or offset < end) and (data := await inflow.read(offset, end)):
            return data
        await changed.wait()
        return b""

    def _raise_fault(self, given_of: int | None) -> None:
        if self._discarded and given_of not in (None, self._round):
            raise self._discarded
        if self._fault:
            raise self._fault

    async def _fill(self) -> None:
        try:
            await self._fill_once()
        except GatewayError as error:
            if error.reason not in WRONG_BYTES:
                raise
            _log.warning("file fetched again", extra={"artifact_id": self.artifact.id, "why": error.message})
            self._discarded = error
            self._round += 1
            self._notify()
            self.artifact = await self._source.refresh()
            await self._fill_once()

    async def _fill_once(self) -> None:
        part = self._blobs.part(self._name)
        may_go_on = False
        try:
            # Without a checksum nothing would tell whether what is there and what comes are of one file.
            if not self.artifact.sha256:
                await asyncio.to_thread(part.discard)
            await asyncio.to_thread(part.open)
            self._inflow = Inflow(part, self._notify)
            self._notify()
            await self._download(self._inflow)
            self.artifact = await asyncio.to_thread(inspected, self.artifact, part.path, part.sha256)
            await asyncio.to_thread(part.finish, self._blobs.path(part.sha256))
        except (GatewayError, asyncio.CancelledError) as error:
            is_cut = not isinstance(error, GatewayError) or error.is_transient
            may_go_on = is_cut and part.size > 0 and bool(self.artifact.sha256)
            raise
        finally:
            self._inflow = None
            # To do it in a thread would be one more await that the gateway's end can cut.
            part.close() if may_go_on else part.discard()

    async def _download(self, inflow: Inflow) -> None:
        failures = 0
        while True:
            start = inflow.size
            try:
                return await self._read_on(inflow)
            except GatewayError as error:
                failures = 1 if inflow.size - start >= PROGRESS_BYTES else failures + 1
                if not error.is_transient or failures > MAX_FAILURES:
                    raise
                await self._sleep(_pause_seconds(failures, error))

    async def _read_on(self, inflow: Inflow) -> None:
        stream = pieces_in_time(self._source.read(self.artifact, inflow.size))
        try:
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    self.artifact = _told(self.artifact, piece)
                    if data := part_beyond(piece, inflow.size):
                        await inflow.take(data)
                    if self.artifact.size is not None and inflow.size > self.artifact.size:
                        raise ChecksumMismatch(f"{self.artifact.path!r} is longer than the platform says")
        finally:
            await inflow.flush()
        if self.artifact.size is not None and inflow.size < self.artifact.size:
            raise GatewayError(f"the platform cut the file after {inflow.size} bytes", reason=Reason.BAD_UPSTREAM)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def bad_offset(offset: int, size: int) -> BadOffset:
    """Make the error for an offset behind a file's end."""
    return BadOffset(f"offset {offset} is behind the file's end at {size}", metadata={"size": str(size)})


def _told(artifact: Artifact, piece: Piece) -> Artifact:
    size, sha256 = piece.size, piece.sha256.lower()
    is_other_size = size is not None and artifact.size not in (None, size)
    is_other_content = is_sha256(sha256) and artifact.sha256 not in ("", sha256)
    if is_other_size or is_other_content:
        raise ArtifactChanged(f"{artifact.path!r} is no longer the file that the platform listed; list the files again")
    return replace(
        artifact,
        size=size if size is not None else artifact.size,
        sha256=sha256 if is_sha256(sha256) else artifact.sha256,
    )


def _pause_seconds(failures: int, error: GatewayError) -> float:
    wished = error.retry_after.total_seconds() if error.retry_after else 0.0
    doubled = FIRST_PAUSE_SECONDS * float(2 ** (failures - 1))
    return min(max(wished, doubled), MAX_PAUSE_SECONDS)
