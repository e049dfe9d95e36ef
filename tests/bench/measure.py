"""How things are measured here: turn and turn about, with the spread of what was found."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Found = TypeVar("Found")

Timed = Callable[[], Awaitable[float]]
"""Does something once and returns the figure of it."""


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
    """Half of the interquartile range of the pairs' ratios."""
    at_least: bool = False
    """The ratio should not be below the goal, instead of above it."""
    value: float | None = None
    """The figure as a number, where it has a goal of its own."""
    least: float | None = None
    most: float | None = None
    costs: tuple[tuple[int, float], ...] = ()
    """Of measurements in several sizes: what each cost, in seconds."""
    group: str = ""
    """Under which name docs/benchmarks.md has it."""

    @classmethod
    def beside(
        cls, measure: str, ours: Sequence[float], base: Sequence[float], what: str, goal: float | None, unit: str = "ms"
    ) -> Row:
        """Make a row of times in seconds, measured in turns."""
        pairs = Pairs(ours, base)
        scale = 1000 if unit == "ms" else 1
        return cls(
            measure,
            f"{statistics.median(ours) * scale:.2f} {unit}",
            f"{statistics.median(base) * scale:.2f} {unit} ({what})",
            pairs.ratio,
            goal,
            pairs.noise,
        )

    @classmethod
    def of_rates(
        cls, measure: str, ours: Sequence[float], base: Sequence[float], what: str, goal: float | None, unit: str
    ) -> Row:
        """Make a row of rates, measured in turns: more is better."""
        pairs = Pairs(ours, base)
        return cls(
            measure,
            f"{statistics.median(ours):,.0f} {unit}",
            f"{statistics.median(base):,.0f} {unit} ({what})",
            pairs.ratio,
            goal,
            pairs.noise,
            at_least=True,
        )

    @property
    def falls_short(self) -> bool:
        """Whether a goal is missed by more than the noise."""
        if self.value is not None:
            return (self.least is not None and self.value < self.least) or (
                self.most is not None and self.value > self.most
            )
        if self.ratio is None or self.goal is None:
            return False
        return self.ratio + self.noise < self.goal if self.at_least else self.ratio - self.noise > self.goal

    @property
    def goal_words(self) -> str:
        """The goal as it is printed; empty = there is none."""
        if self.least is not None:
            return f"≥ {self.least:,g}"
        if self.most is not None:
            return f"≤ {self.most:,g}"
        return "" if self.goal is None else f"{'≥' if self.at_least else '≤'} {self.goal:g}"


@dataclass(frozen=True, slots=True)
class Pairs:
    """What two ways of doing something took, measured in turns."""

    ours: Sequence[float]
    base: Sequence[float]

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios: what slows the machine for a while slows both of a pair."""
        return statistics.median(self._ratios())

    @property
    def noise(self) -> float:
        """Half of the interquartile range of the pairs' ratios."""
        low, _, high = statistics.quantiles(self._ratios(), n=4)
        return (high - low) / 2

    def _ratios(self) -> list[float]:
        return [ours / base for ours, base in zip(self.ours, self.base, strict=True)]


async def in_turns(ours: Timed, base: Timed, rounds: int) -> Pairs:
    """Do both, turn and turn about, after one round that does not count."""
    await ours()
    await base()
    found = [(await ours(), await base()) for _ in range(rounds)]
    return Pairs([pair[0] for pair in found], [pair[1] for pair in found])


async def in_turns_of(
    ways: Mapping[str, Callable[[], Awaitable[Found]]], rounds: int, *, is_in_order: bool = False
) -> dict[str, list[Found]]:
    """Do several things in turns, after one round that does not count; each round begins with another of them.

    Where one needs what another did, they stay `is_in_order`.
    """
    for way in ways.values():
        await way()
    found: dict[str, list[Found]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        first = 0 if is_in_order else number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(await ways[name]())
    return found


async def seconds(work: Awaitable[object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of some values."""
    return statistics.quantiles(values, n=100)[percent - 1]
