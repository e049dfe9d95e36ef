"""Stored lines as they are sent: each message is read once for all followers who come by its place.

Who is far behind gets large messages, which cost a fraction of as many small ones. As a message is held for as long as
its client takes to read it, no more than MOST_LARGE followers are given such at a time; the others get small ones.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from gateway.logs.segments import Run, Segments, Spot
from gateway.logs.wire import MESSAGE_BYTES, with_next

LARGE_BYTES = 4 * MESSAGE_BYTES
"""Twice as much makes it no cheaper by the byte."""

MOST_LARGE = 128
"""Large messages at a time: 16 MiB, should none of their clients read on."""

MOST_KEPT_BYTES = 8 * 1024**2
"""Of all logs together: enough for followers that are some dozens of messages apart."""

ENTRY_BYTES = 1024
"""What a message costs beside its bytes."""

_Key = tuple[str, int, int, int, int, int]


class Messages:
    """Give followers what they are sent, out of all logs."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, Run] = OrderedDict()
        self._kept_bytes = 0
        self._large = 0

    def read(self, name: str, segments: Segments, spot: Spot, *, is_large: bool = False) -> Run | None:
        """Return what comes behind a spot in the log of that name, lines as a whole message; None = nothing yet."""
        most_bytes = LARGE_BYTES if is_large else MESSAGE_BYTES
        # What was read holds until something is added to the log, or deleted from it.
        key = (name, segments.kept_after, segments.mark.last_seq, spot.base, spot.position, most_bytes)
        if known := self._kept.get(key):
            self._kept.move_to_end(key)
            return known
        run = segments.read(spot, most_bytes)
        if run is not None and run.data:
            run = replace(run, data=with_next(run.data, run.spot.seq))
            self._keep(key, run)
        return run

    def enlarge(self) -> bool:
        """Tell whether one more follower may have large messages; whoever may gives them back by `shrink`."""
        if self._large == MOST_LARGE:
            return False
        self._large += 1
        return True

    def shrink(self) -> None:
        """Leave large messages to others."""
        self._large -= 1

    def _keep(self, key: _Key, run: Run) -> None:
        self._kept[key] = run
        self._kept_bytes += len(run.data) + ENTRY_BYTES
        while self._kept_bytes > MOST_KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest.data) + ENTRY_BYTES
