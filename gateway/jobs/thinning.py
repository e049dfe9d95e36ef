"""Fewer points of a long curve that still look like it: its ends, its peaks and valleys, and what is no number.

The curve is cut into stretches of as many points; of each, the least and the greatest value are kept, and in place of
one of them the first that is no number. Only one stretch is in memory at a time.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping

from gateway.jobs.model import Metric


async def thinned(points: AsyncIterator[Metric], counts: Mapping[str, int], most: int) -> list[Metric]:
    """Keep at most so many points of each name, the first and the last among them; with one, the last.

    Args:
        points: By name, and in their order within it.
        counts: How many there are of each name.
        most: At most so many of each are kept.

    """
    kept: list[Metric] = []
    curve: _Curve | None = None
    async for point in points:
        if curve is None or curve.name != point.name:
            kept += curve.kept() if curve else []
            curve = _Curve(point.name, counts.get(point.name, 0), most)
        curve.add(point)
    return kept + (curve.kept() if curve else [])


class _Curve:
    """One name's points."""

    def __init__(self, name: str, count: int, most: int) -> None:
        self.name = name
        self._most = most
        stretches = max(1, (most - 2) // 2)
        # 1 = every point is kept.
        self._length = 1 if count <= most else max(1, math.ceil((count - 2) / stretches))
        self._first: Metric | None = None
        self._last: Metric | None = None
        self._stretch: list[Metric] = []
        self._kept: list[Metric] = []

    def add(self, point: Metric) -> None:
        if self._first is None:
            self._first = point
            return
        if self._last is not None:
            self._stretch.append(self._last)
        self._last = point
        if len(self._stretch) >= self._length:
            self._close()

    def kept(self) -> list[Metric]:
        if self._stretch:
            self._close()
        ends = [point for point in (self._first, self._last) if point is not None]
        # Points that came between counting and reading are not worth more than what was asked for.
        inner = self._kept[: max(0, self._most - 2)]
        return ends[-1:] if self._most < 2 else [*ends[:1], *inner, *ends[1:]]

    def _close(self) -> None:
        stretch, self._stretch = self._stretch, []
        if len(stretch) <= 2:
            self._kept += stretch
            return
        odd = next((number for number, point in enumerate(stretch) if not math.isfinite(point.value)), None)
        numbers = [number for number, point in enumerate(stretch) if math.isfinite(point.value)]
        chosen = {odd} if odd is not None else set()
        if numbers:
            chosen.add(max(numbers, key=lambda number: stretch[number].value))
            if len(chosen) < 2:
                chosen.add(min(numbers, key=lambda number: stretch[number].value))
        self._kept += [stretch[number] for number in sorted(chosen)]
