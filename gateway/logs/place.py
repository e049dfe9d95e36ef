"""How a platform's log continues behind the last line that is stored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a source: kept with the lines, so that a fresh start continues behind them."""

    cursor: str = ""
    source_lines: int = 0
    """Number of the last stored line within its source; lines that the gateway wrote itself don't count."""
    digest: int = 0
    """Checksum over all lines of the source so far, where it is one that is replayed; 0 = not known."""
    last_bytes: int = 0
    """Length of the last line, by which the beginning of a line is known that was cut; 0 = not known."""
    prefix: int = 0
    """How often the source's earlier lines turned out to be others: digests of another prefix say nothing."""
    is_opened: bool = False
    """Whether a stream was opened that gives only what comes while it is read."""


START = Place()
"""In front of the first line."""
