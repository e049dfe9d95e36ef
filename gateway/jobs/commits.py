"""Changes of jobs on their way into the database: all that come while one is written go together with the next write.

A change costs what the disk takes to have it for good, however small it is; so one writer takes everything that waits,
numbers it in the order in which it came, stores it in one transaction, and tells of it in that order. A change that
comes alone waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.jobs.model import Job, JobEvent
from gateway.store.jobs import Change, JobStore, Record
from gateway.together import Together

MOST = 256
"""Changes in one transaction: some hundredths of a second, so that other writers get their turn between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    job: Job
    events: tuple[JobEvent, ...]
    is_new: bool


class Commits:
    """Store changes, each before it is told."""

    def __init__(self, store: JobStore, publish: Callable[[Record], None]) -> None:
        """Take where changes are kept, and who is told of each that was."""
        self._store = store
        self._publish = publish
        self._writes = Together(self._write, MOST)
        self.number = 0
        """That of the last change; whoever goes on behind a number must miss none below it."""

    async def keep(self, job: Job, *events: JobEvent, is_new: bool = False) -> None:
        """Store a change and tell of it; memory never differs from the database because a client hung up between."""
        await self._writes.do(_Wish(job=job, events=events, is_new=is_new))

    async def _write(self, wishes: Sequence[_Wish]) -> Sequence[None]:
        records = [self._numbered(wish) for wish in wishes]
        await self._store.keep(records)
        for record in records:
            self._publish(record)
        return [None] * len(records)

    def _numbered(self, wish: _Wish) -> Record:
        self.number += 1
        return Record(change=Change(wish.job, self.number), events=wish.events, is_new=wish.is_new)
