"""A job: what it does follows from the time that has passed, so that nothing has to run for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from connector_sdk.testing.platform.artifact import Artifact
from connector_sdk.testing.platform.rental import MachineKind


class JobSpec(BaseModel):
    """What a job is to do; the options of a training configuration that the platform knows."""

    model_config = ConfigDict(extra="ignore")

    lines: int = 5
    seconds: float = 0.5
    """How long it runs; negative = until it is ended."""
    exit_code: int = 0
    message: str = ""
    """What the platform says of the job once it has ended."""
    is_key_printed: bool = False
    """Whether its log and its message show the account's key, plain, in JSON and in a URL."""
    file_bytes: int = 4096
    """Size of the tensors in its adapter."""


@dataclass
class Job:
    """One job and its machine."""

    id: str
    account: str
    key: str
    tag: str
    machine: MachineKind
    spec: JobSpec
    made_at: float
    ended_at: float | None = None
    """When it was ended before its time; None = it was not."""
    is_cancelled: bool = False
    files: dict[str, Artifact] = field(default_factory=dict)

    def has_ended(self, now: float) -> bool:
        """Tell whether the job is over, by itself or because it was ended."""
        return self.end(now) is not None

    def end(self, now: float) -> float | None:
        """Return when it ended; None = it runs."""
        if self.ended_at is not None:
            return self.ended_at
        if self.spec.seconds < 0 or now < self.made_at + self.spec.seconds:
            return None
        return self.made_at + self.spec.seconds

    def finish(self, now: float, *, is_cancelled: bool = False) -> None:
        """End the job, unless it is over already."""
        if not self.has_ended(now):
            self.ended_at, self.is_cancelled = now, is_cancelled

    def state(self, now: float) -> str:
        """Return the platform's word; like many, it calls everything that ended by itself `exited`."""
        if not self.has_ended(now):
            return "running"
        return "cancelled" if self.is_cancelled else "exited"

    def lines(self, now: float) -> list[str]:
        """Return the log so far."""
        written = self._written(now)
        return [self._line(number) for number in range(1, written + 1)]

    def secrets(self) -> list[str]:
        """Return the account's key the ways that programs print it."""
        return [
            self.key,
            json.dumps({"api_key": self.key}),
            f"https://api.example.test/v1?key={quote(self.key, safe='')}",
        ]

    def message(self) -> str:
        """Return what the platform says of the job's end."""
        return f"{self.spec.message} {' '.join(self.secrets())}" if self.spec.is_key_printed else self.spec.message

    def _written(self, now: float) -> int:
        if self.spec.seconds <= 0 or self.has_ended(now):
            return self.spec.lines
        return min(self.spec.lines, int(self.spec.lines * (now - self.made_at) / self.spec.seconds))

    def _line(self, number: int) -> str:
        plain = f"line {number} of {self.spec.lines}"
        secrets = self.secrets()
        return f"{plain} {secrets[number % len(secrets)]}" if self.spec.is_key_printed else plain
