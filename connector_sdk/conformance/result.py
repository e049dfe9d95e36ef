"""What came of checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from connector_sdk.conformance.check import Check


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    ADVISED = "advised"
    """A gateway gets along with it."""
    SKIPPED = "skipped"
    """It could not be exercised, and says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one check ended."""

    check: Check
    outcome: Outcome
    seen: str = ""
    """What was seen, or why it was skipped."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a run ended."""

    target: str
    results: Sequence[Result]
    seconds: float

    @property
    def counts(self) -> Counter[Outcome]:
        """How many checks ended in each way."""
        return Counter(result.outcome for result in self.results)

    @property
    def failures(self) -> list[str]:
        """Say what failed, a line for each check."""
        return [f"{result.check.id}: {result.seen}" for result in self.results if result.outcome is Outcome.FAILED]

    @property
    def is_good(self) -> bool:
        """Whether nothing failed, and something passed."""
        return not self.counts[Outcome.FAILED] and bool(self.counts[Outcome.PASSED])
