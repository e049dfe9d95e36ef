"""Changes of jobs on their way into the database: all that come while one is written go together with the next write.

A change costs what the disk takes to have it for good, however small it is; so one writer takes everything that waits,
numbers it in the order in which it came, stores it in one transaction, and tells of it in that order. A change that
comes alone waits for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.errors import GatewayError
from gateway.jobs.model import Job, JobEvent
from gateway.store.jobs import Change, JobStore, Record
from gateway.unbroken import unbroken

MOST = 256
"""Changes in one transaction: some hundredths of a second, so that other writers get their turn between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    job: Job
    event: JobEvent | None
    is_new: bool
    kept: asyncio.Future[None]


class Commits:
    """Store changes, each before it is told."""

    def __init__(self, store: JobStore, publish: Callable[[Record], None]) -> None:
        """Take where changes are kept, and who is told of each that was."""
        self._store = store
        self._publish = publish
        self._waiting: list[_Wish] = []
        self._writing: asyncio.Task[None] | None = None
        self.number = 0
        """That of the last change; whoever goes on behind a number must miss none below it."""

    async def keep(self, job: Job, event: JobEvent | None, *, is_new: bool = False) -> None:
        """Store a change and tell of it; memory never differs from the database because a client hung up between."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Wish(job=job, event=event, is_new=is_new, kept=kept))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await unbroken(kept)

    async def _write_all(self) -> None:
        batch: list[_Wish] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._write(batch)
        finally:
            self._writing = None
            # Only where the whole program ends is anything left: nobody may wait for it then.
            for wish in (*batch, *self._waiting):
                wish.kept.cancel()

    async def _write(self, batch: Sequence[_Wish]) -> None:
        records = [self._numbered(wish) for wish in batch]
        try:
            await self._store.keep(records)
        except GatewayError as error:
            # It is the ledger that cannot be written, whatever is in the batch.
            _fail(batch, error)
        except Exception as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            # One that cannot be stored, as a request id that is taken, must not fail the others.
            for wish in batch:
                await self._write([wish])
        else:
            for record, wish in zip(records, batch, strict=True):
                self._publish(record)
                wish.kept.set_result(None)

    def _numbered(self, wish: _Wish) -> Record:
        self.number += 1
        return Record(change=Change(wish.job, self.number), event=wish.event, is_new=wish.is_new)


def _fail(batch: Sequence[_Wish], error: Exception) -> None:
    for wish in batch:
        wish.kept.set_exception(error)
