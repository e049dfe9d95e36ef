"""A line of the table: what was found, beside what, and what became of its goal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from tests.bench.spread import SCALES, noise_of, worded

NEAREST = 2.0
"""Who takes more than twice as long as the least program is not held up by what that has to do."""


class Verdict(StrEnum):
    """What became of a goal."""

    MET = "met"
    UNCLEAR = "within noise"
    """Missed by less than the noise."""
    LIMIT = "limit"
    """Missed, as by the least program that does the same necessary work."""
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Limit:
    """Why a goal is out of reach: the least program that does the same necessary work, measured in the same rounds."""

    floor: str
    """What that program is."""
    figure: str
    ratio: float
    """Of ours to the floor."""
    noise: float
    share: float
    """How near to the floor is near enough: 1.2 = a fifth more time, 0.8 = four fifths of its rate."""
    reason: str
    is_rate: bool = False

    def __post_init__(self) -> None:
        low, high = (1 / NEAREST, 1.0) if self.is_rate else (1.0, NEAREST)
        if not low <= self.share <= high:
            raise ValueError(f"a share of {self.share} proves nothing: take one from {low} to {high}")

    @property
    def is_reached(self) -> bool:
        """Whether ours is as near to the floor as it has to be, but for the noise."""
        if self.is_rate:
            return self.ratio + self.noise >= self.share
        return self.ratio - self.noise <= self.share

    @property
    def goal_words(self) -> str:
        """How near to the floor is near enough, as it is printed."""
        return f"{'≥' if self.is_rate else '≤'} {self.share:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    measure: str
    figure: str
    """What was measured, with its unit."""
    base: str = ""
    """What it is compared with, with its unit."""
    ratio: float | None = None
    goal: float | None = None
    """The ratio should not be above this."""
    noise: float = 0.0
    """By how much the ratio may be off, or the value where there is no ratio."""
    at_least: bool = False
    """The ratio should not be below the goal, instead of above it."""
    value: float | None = None
    """The figure as a number, in its unit, where it stands alone."""
    least: float | None = None
    most: float | None = None
    costs: tuple[tuple[int, float], ...] = ()
    """Of measurements in several sizes: what each cost, in seconds."""
    group: str = ""
    """Under which name docs/benchmarks.md has it."""
    unit: str = ""
    ours: tuple[float, ...] = ()
    """What each round found; times in seconds."""
    limit: Limit | None = None

    @classmethod
    def beside(
        cls, measure: str, ours: Sequence[float], base: Sequence[float], what: str, goal: float | None, unit: str = "ms"
    ) -> Row:
        """Make a row of times in seconds, or of what else should be small, measured in turns."""
        return cls(
            measure,
            worded(statistics.median(ours), unit),
            f"{worded(statistics.median(base), unit)} ({what})",
            statistics.median(ratios(ours, base)),
            goal,
            noise_of(ratios(ours, base)),
            unit=unit,
            ours=tuple(ours),
        )

    @classmethod
    def of_rates(
        cls, measure: str, ours: Sequence[float], base: Sequence[float], what: str, goal: float | None, unit: str
    ) -> Row:
        """Make a row of rates, measured in turns: more is better."""
        return replace(cls.beside(measure, ours, base, what, goal, unit), at_least=True)

    @classmethod
    def alone(
        cls, measure: str, ours: Sequence[float], unit: str, *, least: float | None = None, most: float | None = None
    ) -> Row:
        """Make a row of a figure that stands alone, of several rounds; its bounds are in the unit."""
        scale = SCALES.get(unit, 1)
        return cls(
            measure,
            worded(statistics.median(ours), unit),
            noise=noise_of(ours) * scale,
            value=statistics.median(ours) * scale,
            least=least,
            most=most,
            unit=unit,
            ours=tuple(ours),
        )

    def limited(self, floor: Sequence[float], what: str, share: float, reason: str) -> Row:
        """Say why the goal is out of reach, by what the least program took in the same rounds."""
        pairs = ratios(self.ours, floor)
        figure, ratio = worded(statistics.median(floor), self.unit), statistics.median(pairs)
        is_rate = self.at_least or self.least is not None
        return replace(self, limit=Limit(what, figure, ratio, noise_of(pairs), share, reason, is_rate))

    @property
    def verdict(self) -> Verdict | None:
        """What became of the goal; None = there is none."""
        beyond = self._beyond_of(self._found)
        if beyond is None:
            return None
        if beyond <= 0:
            return Verdict.MET
        if beyond <= self.noise:
            return Verdict.UNCLEAR
        return Verdict.LIMIT if self._is_at_the_limit else Verdict.MISSED

    @property
    def falls_short(self) -> bool:
        """Whether a goal is missed by more than the noise, and no limit is proved."""
        return self.verdict is Verdict.MISSED

    @property
    def goal_words(self) -> str:
        """The goal as it is printed; empty = there is none."""
        least, most = self._bounds
        if least is not None:
            return f"≥ {least:,g}"
        return "" if most is None else f"≤ {most:,g}"

    @property
    def _is_at_the_limit(self) -> bool:
        """Whether the least program misses the goal, too, but for the noise, and ours is near enough to it."""
        if self.limit is None or self._found is None:
            return False
        beyond = self._beyond_of(self._found / self.limit.ratio)
        return beyond is not None and beyond + self.noise >= 0 and self.limit.is_reached

    @property
    def _bounds(self) -> tuple[float | None, float | None]:
        if self.value is not None:
            return self.least, self.most
        return (self.goal, None) if self.at_least else (None, self.goal)

    @property
    def _found(self) -> float | None:
        return self.ratio if self.value is None else self.value

    def _beyond_of(self, found: float | None) -> float | None:
        """By how much a figure misses the goal; below 0 = it is met."""
        least, most = self._bounds
        if found is None:
            return None
        if least is not None:
            return least - found
        return None if most is None else found - most


def ratios(ours: Sequence[float], base: Sequence[float]) -> list[float]:
    """Compare round by round: what slows the machine for a while slows both."""
    return [mine / theirs for mine, theirs in zip(ours, base, strict=True)]
