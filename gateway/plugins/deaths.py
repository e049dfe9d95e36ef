"""Remembers how a connector's processes died: a flight record for each, as a file that outlives the gateway."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from gateway.plugins.activity import Call
from gateway.plugins.decisions import Record
from gateway.plugins.folders import write_private
from gateway.plugins.gauge import Sample
from gateway.plugins.model import Death, ExitClass

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("gateway.connectors")

KEPT_DEATHS = 20
"""Deaths that are kept: more than the breaker allows in two hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was known of a process when it died."""

    last_lines: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    memory: tuple[Sample, ...] = ()
    stacks: str = ""
    out_of_memory: str = ""
    digest: str = ""


class _Flight(BaseModel):
    """A flight record, as far as it is read again."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    time: AwareDatetime
    generation: int
    exit_class: ExitClass
    exit_code: int | None
    signal: str
    why: str = ""
    decision: str
    last_lines: tuple[str, ...]


class Deaths:
    """The last deaths of one connector's processes."""

    def __init__(self, connector_id: str, folder: Path, now: Callable[[], datetime]) -> None:
        self._connector_id = connector_id
        self._folder = folder
        self._now = now
        self._kept: deque[Death] = deque(maxlen=KEPT_DEATHS)
        for path in self._paths()[-KEPT_DEATHS:]:
            with suppress(OSError, ValueError, ValidationError):
                self._kept.appendleft(_read(path.read_text(encoding="utf-8")))

    def latest_first(self) -> tuple[Death, ...]:
        """Return them."""
        return tuple(self._kept)

    def last_cause(self) -> str:
        """Return the class and the cause of the last death; empty = there was none."""
        return f"{self._kept[0].exit_class}: {self._kept[0].why}" if self._kept else ""

    def last_lines(self) -> tuple[str, ...]:
        """Return what the last process that died printed."""
        return self._kept[0].last_lines if self._kept else ()

    def record(self, record: Record, evidence: Evidence) -> None:
        """Note a death and what was decided."""
        now, end = self._now(), record.ending
        content = {
            "time": now.isoformat(),
            "connector": self._connector_id,
            "generation": record.generation,
            "exit_class": end.exit_class.value,
            "exit_code": end.exit_code,
            "signal": end.signal,
            "why": end.message,
            "decision": record.decision,
            "next_attempt": None if record.next_in is None else (now + record.next_in).isoformat(),
            **asdict(evidence),
        }
        text = json.dumps(content)
        self._kept.appendleft(_read(text))
        # What cannot be written must not end the supervision.
        with suppress(OSError):
            self._keep(f"{now:%Y%m%dT%H%M%S.%f}-{record.generation}-{end.exit_class}.json", text)
        with suppress(OSError):
            log.warning(
                "connector died",
                connector=self._connector_id,
                generation=record.generation,
                exit_class=end.exit_class.value,
                why=end.message,
                decision=record.decision,
            )

    def _keep(self, name: str, text: str) -> None:
        write_private(self._folder / name, text.encode())
        for old in self._paths()[:-KEPT_DEATHS]:
            old.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return _sorted(self._folder.glob("[0-9]*.json"))


def _sorted(paths: Iterable[Path]) -> list[Path]:
    # Their names begin with the time.
    return sorted(paths, key=lambda path: path.name)


def _read(text: str) -> Death:
    return Death(**_Flight.model_validate_json(text).model_dump(), record=text)
