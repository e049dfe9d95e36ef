"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw values as bars between their least and their greatest; `?` marks what is not a finite number.

    More values than `width` are averaged in stretches of equal length.
    """
    points = _squeezed(values, width)
    finite = [value for value in points if math.isfinite(value)]
    if not finite:
        return "?" * len(points)

    low, span = min(finite), max(finite) - min(finite)
    return "".join(_bar((value - low) / span if span else 0.5) if math.isfinite(value) else "?" for value in points)


def _bar(share: float) -> str:
    return _BARS[min(len(_BARS) - 1, int(share * len(_BARS)))]


def _squeezed(values: Sequence[float], width: int) -> list[float]:
    if len(values) <= width:
        return list(values)

    edges = [number * len(values) // width for number in range(width + 1)]
    stretches = [values[start:end] for start, end in pairwise(edges)]
    return [sum(stretch) / len(stretch) for stretch in stretches]
