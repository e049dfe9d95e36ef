"""What a check is, and how it says what it saw."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connector_sdk.conformance.trial import Trial

CHECK_SECONDS = 20.0  # no check waits longer for anything that should happen at once

Body = Callable[["Trial"], Awaitable[None]]


class FailedCheck(Exception):
    """Raised when the connector does not do what is asked; says what was seen."""


class AdvisedCheck(Exception):
    """Raised when a gateway gets along with what was seen, and something better is possible."""


class SkippedCheck(Exception):
    """Raised when something cannot be exercised; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that a connector is asked for."""

    id: str
    """`group.word`; never given to another check."""
    sentence: str
    """What holds for every good connector."""
    remedy: str
    """What to do where it does not."""
    body: Body
    is_chaos: bool
    """Whether it does violence to the process."""
    limit_seconds: float

    @property
    def group(self) -> str:
        """What it is about."""
        return self.id.partition(".")[0]


def check(
    check_id: str, *, remedy: str, chaos: bool = False, seconds: float = CHECK_SECONDS
) -> Callable[[Body], Check]:
    """Make a check of a function whose docstring is the sentence that it checks."""

    def make(body: Body) -> Check:
        sentence = " ".join((body.__doc__ or "").split())
        return Check(id=check_id, sentence=sentence, remedy=remedy, body=body, is_chaos=chaos, limit_seconds=seconds)

    return make


def expect(holds: bool, seen: str) -> None:
    """Go on if it holds, or fail with what was seen instead."""
    if not holds:
        raise FailedCheck(seen)


def advise(holds: bool, seen: str) -> None:
    """Go on if it holds, or end the check with what could be better."""
    if not holds:
        raise AdvisedCheck(seen)
