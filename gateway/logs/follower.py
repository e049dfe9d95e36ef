"""One client's way through a job's log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from gateway.errors import BadOffset
from gateway.logs.query import Start, Wanted
from gateway.logs.segments import Run, Spot
from gateway.logs.store import Ending, JobLog
from gateway.logs.wire import MESSAGE_BYTES, encode, encode_gap, gap_bytes, lines

HEARTBEAT_SECONDS = 10.0
"""Longest silence on a log stream."""

MAX_UNWANTED_RUNS = 16
"""Runs of lines that a filter leaves out whole, after which the follower is told how far it is: half a MiB."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is sent in one message."""

    data: bytes = b""
    """Lines and gaps in wire format; empty in a heartbeat, and where no line was wanted."""
    next_after_seq: int = 0
    is_heartbeat: bool = False
    ending: Ending | None = None
    """Set in the last message of a log that was followed to its end."""
    is_last: bool = False
    is_whole: bool = False
    """Whether `data` is the whole message."""


class Follower:
    """Read a log from a point on, waiting for what comes; memory is one message, however slow the client is."""

    def __init__(
        self, log: JobLog, start: Start, wanted: Wanted | None, known_ending: Callable[[], Awaitable[Ending | None]]
    ):
        self._log = log
        self._wanted = wanted
        self._known_ending = known_ending
        self._start = start
        self._spot = Spot(0, 0, 0)
        self._unwanted_runs = 0

    async def read(self) -> AsyncGenerator[Part, None]:
        """Yield what is there, then the end; never waits.

        Raises:
            BadOffset: The log does not reach as far as the start.

        """
        await self._go_to_start()
        async with aclosing(self._there()) as parts:
            async for part in parts:
                yield part
        yield self._last(self._log.ending)

    async def follow(self) -> AsyncGenerator[Part, None]:
        """Yield what is there and what comes, until the job has ended and its log with it.

        Raises:
            BadOffset: The log does not reach as far as the start.

        """
        await self._go_to_start()
        while True:
            ticket = self._log.changed.ticket()
            async with aclosing(self._there()) as parts:
                async for part in parts:
                    yield part
            if ending := await self._ending():
                yield self._last(ending)
                return
            if not await _is_set(ticket):
                yield Part(next_after_seq=self._spot.seq, is_heartbeat=True)

    async def _go_to_start(self) -> None:
        segments = self._log.segments
        seq = await self._start.after_seq(segments)
        if seq > segments.mark.last_seq:
            raise BadOffset(
                f"after_seq is {seq}, but the log has {segments.mark.last_seq} lines",
                metadata={"last_seq": str(segments.mark.last_seq)},
            )
        self._spot = segments.locate(seq)

    async def _there(self) -> AsyncGenerator[Part, None]:
        """Yield what is there already."""
        if self._wanted is not None:
            async for part in self._wanted_there(self._wanted):
                yield part
            return
        is_large = False
        try:
            while run := self._log.read(self._spot, is_large=is_large):
                self._spot = run.spot
                yield Part(_missing(run) or run.data, run.spot.seq, is_whole=not run.missing_from)
                # Where one message was full, there is more to come.
                is_large = is_large or (len(run.data) > MESSAGE_BYTES // 2 and self._log.messages.enlarge())
        finally:
            if is_large:
                self._log.messages.shrink()

    async def _wanted_there(self, wanted: Wanted) -> AsyncGenerator[Part, None]:
        while run := self._log.segments.read(self._spot):
            self._spot = run.spot
            data = _missing(run) or gap_bytes(run.data) + b"".join(map(encode, filter(wanted, lines(run.data))))
            self._unwanted_runs = 0 if data else self._unwanted_runs + 1
            if data or self._unwanted_runs >= MAX_UNWANTED_RUNS:
                self._unwanted_runs = 0
                yield Part(data, run.spot.seq)
            else:
                # To filter a long log takes seconds; everybody else has a turn in between.
                await asyncio.sleep(0)

    def _last(self, ending: Ending | None) -> Part:
        seq = self._spot.seq
        gap = encode_gap(seq + 1, 0, ending.gap) if ending and ending.gap else b""
        return Part(gap, seq, ending=ending, is_last=True)

    async def _ending(self) -> Ending | None:
        ending = self._log.ending
        if ending is None and not self._log.is_live:
            # The gateway was killed between what it noted of the job and of the log.
            ending = await self._known_ending()
        return ending if self._spot.seq == self._log.segments.mark.last_seq else None


def _missing(run: Run) -> bytes:
    return encode_gap(run.missing_from, run.spot.seq, run.why) if run.missing_from else b""


async def _is_set(event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(HEARTBEAT_SECONDS):
            await event.wait()
    except TimeoutError:
        return False
    return True
