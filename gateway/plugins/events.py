"""What can happen to a connector: the inputs of `machine.step`.

Those of a process carry its generation; the machine drops what comes from a process that is not the present one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.plugins.exits import Ending


class Wish(StrEnum):
    """What is wanted of a connector."""

    REST = "REST"
    """No process until somebody needs one."""
    RUN = "RUN"
    """A process."""
    OFF = "OFF"
    """No process until an operator switches it on."""
    END = "END"
    """No process, ever: the gateway ends."""


class StartStep(StrEnum):
    """How far a start has come."""

    QUEUED = "QUEUED"
    SPAWNED = "SPAWNED"
    HANDSHAKED = "HANDSHAKED"
    CONNECTED = "CONNECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What a health call found besides its answer."""

    is_computing: bool = False
    """Whether processor time advanced as in a process that works."""
    is_streaming: bool = False
    """Whether a stream moved."""
    idle_seconds: float = 0.0
    """Since the last call or stream ended or a job was open."""
    memory_bytes: int = 0

    @property
    def is_busy(self) -> bool:
        """Whether the process does something, answer or not."""
        return self.is_computing or self.is_streaming


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """The gateway has started."""

    is_disabled: bool = False
    problem: str = ""
    generation: int = 0
    """The last one ever launched."""
    has_leftover: bool = False
    """Whether an earlier gateway left word of a process."""
    is_attached: bool = False
    """Whether an author starts the process by hand."""


@dataclass(frozen=True, slots=True)
class TimePassed:
    """The deadline has come, or something else may have become due."""


@dataclass(frozen=True, slots=True)
class Needed:
    """Somebody needs the process."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Somebody wants no process."""

    wish: Wish


@dataclass(frozen=True, slots=True)
class Enabled:
    """An operator lets it run again."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """An operator wants another process, with the files as they are now."""

    problem: str = ""


@dataclass(frozen=True, slots=True)
class Changed:
    """Its files are others now, and no process serves that would have to be exchanged with care."""

    problem: str = ""
    is_attached: bool = False
    """Whether an author starts the process by hand from now on."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Its files are others now, but the process that serves goes on; the next one is of the new files."""

    problem: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """Its files are what they should be."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """Its files are not what they should be, or could not be looked at."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class OfProcess:
    """Something about one process."""

    generation: int


@dataclass(frozen=True, slots=True)
class Launched(OfProcess):
    """The process is there."""


@dataclass(frozen=True, slots=True)
class NotLaunched(OfProcess):
    """No process came of the launch."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Reached(OfProcess):
    """The start came one step further."""

    step: StartStep


@dataclass(frozen=True, slots=True)
class Progressed(OfProcess):
    """The process says that it is not ready yet; of one that is not the gateway's: that it cannot be spoken to."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Opened(OfProcess):
    """The process serves."""


@dataclass(frozen=True, slots=True)
class Refused(OfProcess):
    """The process cannot be used."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class ProbeAnswered(OfProcess):
    """A health call was answered, or was not in time."""

    is_serving: bool
    vitals: Vitals = field(default_factory=Vitals)


@dataclass(frozen=True, slots=True)
class HealthChanged(OfProcess):
    """Calls began or ceased to show trouble at the platform."""

    trouble: str


@dataclass(frozen=True, slots=True)
class StacksSaved(OfProcess):
    """The process wrote where it hangs, or did not in time."""


@dataclass(frozen=True, slots=True)
class ShutdownRefused(OfProcess):
    """The process did not take Shutdown."""


@dataclass(frozen=True, slots=True)
class Exited(OfProcess):
    """The process ended."""


@dataclass(frozen=True, slots=True)
class Buried(OfProcess):
    """All behind a dead process is closed, and why it ended by itself is known."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Adopted(OfProcess):
    """The process of an earlier gateway answers with its token and is ours now."""


@dataclass(frozen=True, slots=True)
class Unadoptable(OfProcess):
    """The process of an earlier gateway cannot be taken over."""

    is_proven: bool
    """Whether there is a process and it is the one that was launched; otherwise nothing may be signalled."""
    why: str


Event = (
    Began
    | TimePassed
    | Needed
    | Stopped
    | Enabled
    | Restarted
    | Changed
    | Kept
    | Verified
    | Unverified
    | Launched
    | NotLaunched
    | Reached
    | Progressed
    | Opened
    | Refused
    | ProbeAnswered
    | HealthChanged
    | StacksSaved
    | ShutdownRefused
    | Exited
    | Buried
    | Adopted
    | Unadoptable
)
