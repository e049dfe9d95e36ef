"""How sure a median is, and how a figure is written."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

CONFIDENCE = 0.95
FEWEST = 6
"""Of fewer rounds not even the whole range holds the median with that confidence."""
SCALES = {"ms": 1e3, "µs": 1e6, "ns": 1e9}
"""Times are measured in seconds."""


def noise_of(values: Sequence[float]) -> float:
    """Return by how much the median of some rounds may be off, with 95 % confidence, whatever their distribution.

    The interval lies between two order statistics: a round is as likely above the true median as below it, so that the
    binomial distribution says how many of the outermost rounds may be left out. Of fewer than six rounds, the whole
    range is widened accordingly.
    """
    if len(values) < 2:
        return 0.0
    found, left_out = sorted(values), _left_out(len(values))
    middle = statistics.median(found)
    farthest = max(found[-1 - left_out] - middle, middle - found[left_out])
    return farthest * max(1.0, FEWEST / len(found))


def worded(value: float, unit: str = "") -> str:
    """Write a figure with about three digits; a time in its unit."""
    shown = value * SCALES.get(unit, 1)
    digits = 0 if abs(shown) >= 100 else 1 if abs(shown) >= 10 else 2
    return f"{shown:,.{digits}f} {unit}".strip()


def _left_out(rounds: int) -> int:
    """Return how many rounds may be left out at either end."""
    count, missed = 0, 1 / 2**rounds
    while 2 * (missed := missed + math.comb(rounds, count + 1) / 2**rounds) <= 1 - CONFIDENCE:
        count += 1
    return count
