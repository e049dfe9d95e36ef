"""What discovery finds out about a connector without running it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.plugins.elsewhere import Elsewhere
from gateway.plugins.overrides import Overrides


class Integrity(StrEnum):
    """What a change of a connector's files means."""

    SHOW = "show"
    """The digest is shown."""
    STRICT = "strict"
    """A connector with another digest than at its first start is not started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the gateway's owner says of a connector in `config/connectors.json`."""

    enabled: bool = True
    credentials_required: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    documentation_url: str = ""
    integrity: Integrity | None = None
    """What a change of its files means; None = as the gateway's settings say."""
    attach: bool = False
    """Whether its author starts it by hand, e.g. under a debugger."""
    elsewhere: Elsewhere | None = None
    """Where somebody else runs it; None = the gateway does."""
    requests_per_minute: int = 0
    concurrent_jobs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorSpec:
    """One connector that was found."""

    id: str
    display_name: str = ""
    version: str = ""
    origin: str
    """The folder, file or installed package where it was found."""
    command: tuple[str, ...] = ()
    env_allow: tuple[str, ...] = ()
    overrides: Overrides = field(default_factory=Overrides)
    settings: Settings = field(default_factory=Settings)
    problem: str = ""
    """Why it cannot run; empty = it can."""

    @property
    def is_attached(self) -> bool:
        """Whether its process is not the gateway's: spoken to, and neither started nor ended."""
        return self.settings.attach or self.settings.elsewhere is not None


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found, the first of each id, and what people should be told about it."""

    specs: tuple[ConnectorSpec, ...] = ()
    warnings: tuple[str, ...] = ()
