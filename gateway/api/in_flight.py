"""Messages of streams that are on their way to clients.

All that gRPC has done comes through one queue: each step of a user's call, and each message to one of thousands of
followers. With a message to each of them in it, a call would wait for all of them at every step, and new ones for ever.
"""

from __future__ import annotations

import asyncio
from collections import deque

MOST = 16
"""Messages on their way at once: some milliseconds of work, and enough that none of it waits for the next one."""

PATIENCE_SECONDS = 0.02
"""A message that takes longer waits for its client: it counts no more, and neither do the next ones to that client.

Some times what `MOST` of them take. Whatever clients do, 800 messages a second go through, of 32 KiB of a log or
512 KiB of a file.
"""


class InFlight:
    """Let so many messages be on their way at once; the others wait in the order of their coming."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._counted: dict[Lane, None] = {}
        """Those with a message on its way, the earliest first."""
        self._waiting: deque[tuple[Lane, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def lane(self) -> Lane:
        """Give a stream its own way."""
        return Lane(self)

    async def begin(self, lane: Lane) -> None:
        """Wait until this lane's message may go."""
        if lane.is_slow:
            lane.start()
        elif len(self._counted) < self._most and not self._waiting:
            self._count(lane)
        else:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((lane, place))
            self._admit()
            await place

    def end(self, lane: Lane) -> None:
        """Take note that this lane has no message on its way any more."""
        if lane in self._counted:
            del self._counted[lane]
            if self._waiting:
                self._admit()
        else:
            lane.is_slow = lane.is_slow and lane.seconds() > PATIENCE_SECONDS

    def _count(self, lane: Lane) -> None:
        lane.start()
        self._counted[lane] = None

    def _admit(self) -> None:
        while self._waiting and self._has_room():
            lane, place = self._waiting.popleft()
            if not place.done():
                self._count(lane)
                place.set_result(None)

    def _has_room(self) -> bool:
        if len(self._counted) < self._most:
            return True
        earliest = next(iter(self._counted))
        left = PATIENCE_SECONDS - earliest.seconds()
        if left <= 0:
            del self._counted[earliest]
            earliest.is_slow = True
            return True
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(left, self._look_again)
        return False

    def _look_again(self) -> None:
        self._timer = None
        self._admit()


class Lane:
    """The messages of one stream, one after the other."""

    __slots__ = ("_in_flight", "_since", "is_slow")

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self._since = 0.0
        self.is_slow = False
        """Whether its client takes its time."""

    async def begin(self) -> None:
        """Wait until a message may go."""
        await self._in_flight.begin(self)

    def end(self) -> None:
        """Say that it has gone, or that none will."""
        self._in_flight.end(self)

    def start(self) -> None:
        """Take the time."""
        self._since = asyncio.get_running_loop().time()

    def seconds(self) -> float:
        """Return for how long the message has been on its way."""
        return asyncio.get_running_loop().time() - self._since
