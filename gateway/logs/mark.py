"""How far a log is valid: what an entry of its index says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields

from gateway.logs.place import START, Place

NOT_KEPT = 2**62
"""Latest time of entries of earlier versions, which did not keep it: later than any, so that nothing is passed over."""

_PLACE = tuple((field.name, field.default) for field in fields(Place))


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the log is valid, and how its source continues behind that point."""

    size: int = 0
    """Bytes of its segment."""
    last_seq: int = 0
    place: Place = START
    latest: int = 0
    """The latest time of a line so far, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What was appended at once."""

    mark: Mark
    """Behind it."""
    ends: Sequence[tuple[int, int]] = ()
    """Where messages may end: bytes, and the seq of the last line before."""
    has_gap: bool = False
    """Whether it begins with a gap."""

    def encode(self) -> bytes:
        """Write the entry as one line of JSON; what has its default is left out."""
        mark, place = self.mark, self.mark.place
        known = {"size": mark.size, "last_seq": mark.last_seq, "latest": mark.latest, "ends": self.ends}
        known |= {name: value for name, default in _PLACE if (value := getattr(place, name)) != default}
        if self.has_gap:
            known["gap"] = True
        return json.dumps(known, separators=(",", ":")).encode() + b"\n"

    @staticmethod
    def parse(line: bytes) -> Entry | None:
        """Read an entry; None = it is torn."""
        if not line.endswith(b"\n"):
            return None
        try:
            known = json.loads(line)
            ends = [(size, seq) for size, seq in known.pop("ends")]
            has_gap = known.pop("gap", False)
            size, last_seq, latest = known.pop("size"), known.pop("last_seq"), known.pop("latest", NOT_KEPT)
            return Entry(Mark(size, last_seq, Place(**known), latest), ends, has_gap)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
