"""All that `machine.step` knows of a connector between two events."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.plugins.backoff import History
from gateway.plugins.events import StartStep, Wish
from gateway.plugins.exits import Ending
from gateway.plugins.model import ConnectorState

SERVING = frozenset({ConnectorState.READY, ConnectorState.DEGRADED})
STEADY = SERVING | {
    ConnectorState.DISCOVERED,
    ConnectorState.IDLE,
    ConnectorState.FAILED,
    ConnectorState.STOPPED,
    ConnectorState.ATTACHED,
    ConnectorState.DISABLED,
    ConnectorState.QUARANTINED,
}
"""States that may last; every other has a deadline."""


class Hold(StrEnum):
    """What the gateway has of a process."""

    NONE = "NONE"
    PENDING = "PENDING"
    """A launch is under way."""
    PROVEN = "PROVEN"
    """It is the gateway's own child, or has proven to be the process that an earlier gateway launched."""
    HANDS_OFF = "HANDS_OFF"
    """An author's process: spoken to and never signalled."""


class Rung(StrEnum):
    """The present step of an end."""

    ASK = "ASK"
    LIFELINE = "LIFELINE"
    TERMINATE = "TERMINATE"
    KILL = "KILL"
    BURY = "BURY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A connector as the machine sees it. Times are seconds of a clock that never goes back."""

    state: ConnectorState = ConnectorState.DISCOVERED
    message: str = ""
    wish: Wish = Wish.REST
    problem: str = ""
    """Why its files cannot run; empty = they can."""
    generation: int = 0
    """The last process that was launched."""
    is_attached: bool = False
    """Whether an author starts the process by hand."""
    has_run: bool = False
    """Whether one was launched in this life of the gateway."""
    hold: Hold = Hold.NONE
    deadline: float | None = None
    """When `TimePassed` must come at the latest."""
    is_idle: bool = False
    """Whether the end under way comes of nobody's need."""
    history: History = field(default_factory=History)
    restarts: int = 0
    next_start: float | None = None
    """When it is started next; only in BACKOFF and FAILED."""

    step: StartStep = StartStep.QUEUED
    spawned_at: float = 0.0
    missed: int = 0
    """Health calls that failed in a row."""
    held_since: float | None = None
    """Since when a process is left alone for being busy."""
    is_probing: bool = False
    trouble: str = ""
    """What calls showed of the platform's side."""
    rung: Rung = Rung.ASK
    verdict: Ending | None = None
    """Why the gateway ends the process; None = it does not, or somebody asked for it."""
    died_at: float = 0.0

    @property
    def is_serving(self) -> bool:
        """Whether calls may go to the process."""
        return self.state in SERVING or (self.state is ConnectorState.ATTACHED and self.step is StartStep.CONNECTED)

    @property
    def is_ending(self) -> bool:
        """Whether the process is being ended or has just ended."""
        return self.state in _ENDING


_ENDING = frozenset(
    {
        ConnectorState.UNRESPONSIVE,
        ConnectorState.CRASHED,
        ConnectorState.DRAINING,
        ConnectorState.STOPPING,
        ConnectorState.REAPING,
    }
)
