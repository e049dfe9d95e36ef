"""What is to be done for a connector: the outputs of `machine.step`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from signal import Signals

from gateway.plugins.exits import Ending


@dataclass(frozen=True, slots=True)
class Verify:
    """Check its files; answers with `Verified` or `Unverified`."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Launch a process when it has its turn; answers with `Launched` or `NotLaunched`."""

    generation: int


@dataclass(frozen=True, slots=True)
class Abandon:
    """Give up a launch; answers as `Launch`."""

    generation: int


@dataclass(frozen=True, slots=True)
class Open:
    """Bring the process to where it serves; answers with `Reached`, `Progressed`, `Opened`, `Refused`."""

    generation: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Make a health call; answers with `ProbeAnswered`."""

    generation: int


@dataclass(frozen=True, slots=True)
class DumpStacks:
    """Have a hung process write where it hangs; answers with `StacksSaved`."""

    generation: int


@dataclass(frozen=True, slots=True)
class AskShutdown:
    """Let the process finish and end by itself; answers with `ShutdownRefused` or the end of the process."""

    generation: int


@dataclass(frozen=True, slots=True)
class CutLifeline:
    """Close the process's stdin."""

    generation: int


@dataclass(frozen=True, slots=True)
class SendSignal:
    """Signal the process's group."""

    generation: int
    number: Signals


@dataclass(frozen=True, slots=True)
class Bury:
    """Fail calls under way, close what is left of a dead process, find out why it ended; answers with `Buried`."""

    generation: int


@dataclass(frozen=True, slots=True)
class Record:
    """Write down a death."""

    generation: int
    ending: Ending
    decision: str
    next_in: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Adopt:
    """Take over what an earlier gateway left; answers with `Adopted` or `Unadoptable`."""

    generation: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove what tells the next gateway of a process."""

    generation: int


@dataclass(frozen=True, slots=True)
class Attach:
    """Wait for the process that an author starts by hand, and speak to it."""

    generation: int


Decision = (
    Verify
    | Launch
    | Abandon
    | Open
    | Probe
    | DumpStacks
    | AskShutdown
    | CutLifeline
    | SendSignal
    | Bury
    | Record
    | Adopt
    | Forget
    | Attach
)
