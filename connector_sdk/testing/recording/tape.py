"""Which recorded answer a request gets, when it is asked again.

Each answer is given once, in the order of the recording. What only reads may be asked more often than it was: a
connector that polls does so by the clock. It gets the last answer again, and none from behind a change that was
recorded and has not been asked yet.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from connector_sdk.testing.recording.bodies import JsonBody
from connector_sdk.testing.recording.cassette import Exchange, Request
from connector_sdk.testing.recording.matching import Likeness, differences, nearest, summary

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_MUTATION = re.compile(r"\s*(?:mutation|subscription)\b")


class Tape:
    """Give the answers of a recording."""

    def __init__(self, exchanges: Sequence[Exchange], likeness: Likeness) -> None:
        """Play `exchanges`."""
        self._exchanges = exchanges
        self._likeness = likeness
        self._fields = [likeness.fields(one.request) for one in exchanges]
        self._played: set[int] = set()

    def play(self, request: Request) -> Exchange | None:
        """Return the answer to a request; None = there is none, or none any more."""
        fields = self._likeness.fields(request)
        same = [number for number, known in enumerate(self._fields) if known == fields]
        fresh = [number for number in same if number not in self._played]
        chosen = self._read(same, fresh) if reads(request) else next(iter(fresh), None)
        if chosen is None:
            return None
        self._played.add(chosen)
        return self._exchanges[chosen]

    def _read(self, same: Sequence[int], fresh: Sequence[int]) -> int | None:
        changes = [number for number, one in enumerate(self._exchanges) if not reads(one.request)]
        last = max((number for number in changes if number in self._played), default=-1)
        coming = min((number for number in changes if number > last), default=len(self._exchanges))
        within = [number for number in same if last < number < coming]
        fresh_within = [number for number in within if number in fresh]
        before = [number for number in same if number < last]
        return next(iter([*fresh_within, *reversed(within), *reversed(before), *fresh]), None)

    def miss(self, request: Request) -> str:
        """Say why a request has no answer, and what comes nearest to it."""
        fields = self._likeness.fields(request)
        asked = f"There is no recorded answer to\n  {summary(request)}\n"
        number = nearest(fields, self._fields)
        if number is None:
            return f"{asked}Nothing was recorded at all."
        count = self._fields.count(fields)
        if count:
            return f"{asked}It was recorded {_times(count)}, which {_has(count)} been played, and is asked once more."
        near = self._exchanges[number].request
        which = "\n".join(f"  {one}" for one in differences(fields, self._fields[number]))
        place = f"number {number + 1} of {len(self._exchanges)}"
        return f"{asked}The nearest recorded request is {place},\n  {summary(near)}\nand differs:\n{which}"


def reads(request: Request) -> bool:
    """Tell whether a request changes nothing: by its method, or as a query of GraphQL, which is sent by POST."""
    if request.method in _READS:
        return True
    body = request.body.data if isinstance(request.body, JsonBody) else None
    query = body.get("query") if isinstance(body, dict) else None
    return isinstance(query, str) and "{" in query and not _MUTATION.match(query)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _has(count: int) -> str:
    return "has" if count == 1 else "have"
