"""All that the platform knows: accounts, jobs, machines, uploads, and what is wrong at the moment."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connector_sdk.testing.platform.artifact import Artifact
from connector_sdk.testing.platform.faults import Conditions, ReplyFault
from connector_sdk.testing.platform.job import Job, JobSpec
from connector_sdk.testing.platform.rental import MachineKind, Rental, catalog

KEY = "fake-platform-key"
ACCOUNT = "fake-account"
"""The one account that there is at the beginning, and its key."""


@dataclass
class World:
    """The platform's memory. It is one process for as long as a test lasts."""

    keys: dict[str, str] = field(default_factory=lambda: {KEY: ACCOUNT})
    """The account of each key that is accepted."""
    jobs: dict[str, Job] = field(default_factory=dict)
    by_idempotency_key: dict[tuple[str, str], str] = field(default_factory=dict)
    machines: dict[str, MachineKind] = field(default_factory=catalog)
    uploads: dict[str, bytes] = field(default_factory=dict)
    faults: list[ReplyFault] = field(default_factory=list)
    conditions: Conditions = field(default_factory=Conditions)
    arrivals: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When each call came, by its name."""
    cleared: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the faults that hold answers back are cleared."""

    def now(self) -> float:
        """Return the time that jobs run by."""
        return time.time()

    def told(self, moment: float | None) -> str | None:
        """Write a time as the platform tells it, with its clock's error."""
        if moment is None:
            return None
        return datetime.fromtimestamp(moment + self.conditions.clock_skew_seconds, UTC).isoformat()

    def submit(self, account: str, key: str, tag: str, machine: str, spec: JobSpec, idempotency_key: str = "") -> Job:
        """Rent a machine and start a job on it; under an idempotency key once."""
        known = self.by_idempotency_key.get((account, idempotency_key)) if idempotency_key else None
        if known is not None:
            return self.jobs[known]
        kind = self.machines[machine].model_copy()
        job = Job(f"job-{secrets.token_hex(4)}", account, key, tag, kind, spec, self.now())
        files = (Artifact("adapter_config.json", 0), Artifact("adapter_model.safetensors", spec.file_bytes))
        job.files = {file.name: file for file in files}
        self.jobs[job.id] = job
        if idempotency_key:
            self.by_idempotency_key[account, idempotency_key] = job.id
        return job

    def listed(self, account: str, tag: str = "") -> list[Job]:
        """List jobs that run, in the order of their making, as far as the list has come."""
        latest = self.now() - self.conditions.list_lag_seconds
        jobs = (job for job in self.jobs.values() if job.account == account and job.made_at <= latest)
        return [job for job in jobs if tag in ("", job.tag)]

    def rentals(self) -> list[Rental]:
        """Return every machine that was ever rented."""
        now = self.now()
        return [
            Rental(
                job_id=job.id,
                tag=job.tag,
                machine=job.machine.id,
                price_per_hour=job.machine.price_per_hour,
                is_held=not job.has_ended(now),
                made_at=datetime.fromtimestamp(job.made_at, UTC),
            )
            for job in self.jobs.values()
        ]

    def take_fault(self, call: str) -> ReplyFault | None:
        """Return what is to go wrong with a call that arrives now; it counts as used."""
        self.arrivals[call].append(self.now())
        fault = next((one for one in self.faults if one.call == call and one.times != 0), None)
        if fault is not None and fault.times is not None:
            fault.times -= 1
        return fault

    def clear(self) -> None:
        """Let everything go well from now on, and let go of what is held back."""
        self.faults.clear()
        self.conditions = Conditions()
        self.cleared.set()
        self.cleared = asyncio.Event()
