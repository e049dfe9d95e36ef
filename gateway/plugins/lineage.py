"""What all versions of one connector share: the numbers of their processes, and the record of their deaths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from gateway.plugins.deaths import Deaths
from gateway.plugins.folders import Folders


@dataclass(slots=True)
class Lineage:
    """One connector over all its versions."""

    deaths: Deaths
    last_number: int
    """Of the last process that was launched; while one version is exchanged for another, two may live."""

    @classmethod
    def of(cls, connector_id: str, folders: Folders, now: Callable[[], datetime]) -> Self:
        """Read what earlier gateways left."""
        return cls(Deaths(connector_id, folders.flight(connector_id), now), folders.last_generation(connector_id))
