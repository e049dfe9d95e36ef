"""One client's way through a job's log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from gateway.errors import BadOffset
from gateway.logs.query import Start, Wanted
from gateway.logs.store import Ending, JobLog
from gateway.logs.wire import encode, lines

HEARTBEAT_SECONDS = 10.0
"""Longest silence on a log stream."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is sent in one message."""

    data: bytes = b""
    """Lines in wire format; empty in a heartbeat, and where no line was wanted."""
    next_after_seq: int = 0
    is_heartbeat: bool = False
    ending: Ending | None = None
    """Set in the last message of a log that was followed to its end."""
    is_last: bool = False


class Follower:
    """Read a log from a point on, waiting for what comes; memory is one message, however slow the client is."""

    def __init__(
        self, log: JobLog, start: Start, wanted: Wanted | None, known_ending: Callable[[], Awaitable[Ending | None]]
    ):
        self._log = log
        self._wanted = wanted
        self._known_ending = known_ending
        self._start = start
        self._seq = self._position = 0

    async def read(self) -> AsyncIterator[Part]:
        """Yield what is there, then the end; never waits.

        Raises:
            BadOffset: The log does not reach as far as the start.

        """
        await self._go_to_start()
        while part := self._next():
            yield part
        yield Part(next_after_seq=self._seq, ending=self._log.ending, is_last=True)

    async def follow(self) -> AsyncIterator[Part]:
        """Yield what is there and what comes, until the job has ended and its log with it.

        Raises:
            BadOffset: The log does not reach as far as the start.

        """
        await self._go_to_start()
        while True:
            ticket = self._log.changed.ticket()
            while part := self._next():
                yield part
            if ending := await self._ending():
                yield Part(next_after_seq=self._seq, ending=ending, is_last=True)
                return
            if not await _is_set(ticket):
                yield Part(next_after_seq=self._seq, is_heartbeat=True)

    async def _go_to_start(self) -> None:
        segment = self._log.segment
        self._seq = await self._start.after_seq(segment)
        if self._seq > segment.mark.last_seq:
            raise BadOffset(
                f"after_seq is {self._seq}, but the log has {segment.mark.last_seq} lines",
                metadata={"last_seq": str(segment.mark.last_seq)},
            )
        self._position = segment.locate(self._seq)

    def _next(self) -> Part | None:
        data, last_seq = self._log.segment.read(self._position)
        if not data:
            return None
        self._position += len(data)
        self._seq = last_seq
        if self._wanted is not None:
            data = b"".join(encode(line) for line in lines(data) if self._wanted(line))
        return Part(data, last_seq)

    async def _ending(self) -> Ending | None:
        ending = self._log.ending
        if ending is None and not self._log.is_live:
            # The gateway was killed between what it noted of the job and of the log.
            ending = await self._known_ending()
        return ending if self._seq == self._log.segment.mark.last_seq else None


async def _is_set(event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(HEARTBEAT_SECONDS):
            await event.wait()
    except TimeoutError:
        return False
    return True
