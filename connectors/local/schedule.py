"""Decide which jobs start and which stop; called with the root folder's lock held."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from connectors.local.job_folder import JobFolder, JobState
from connectors.local.process import ask_to_stop, child_environment, kill, start_shim

_MAX_FALSE_STARTS = 3  # then something is wrong with the machine, not with who started the job


@dataclass(slots=True)
class _Job:
    folder: JobFolder
    state: JobState
    alive: bool


class Schedule:
    """Give the free slots to the jobs that wait, first come first served, and end those that are to end."""

    def __init__(
        self,
        root: Path,
        *,
        command: Sequence[str],
        environment: Mapping[str, str],
        gpu_count: int,
        slots: int,
        cancel_grace: timedelta,
    ) -> None:
        self._root = root
        self._command = tuple(command)
        self._environment = environment
        self._gpu_count = gpu_count
        self._slots = slots
        self._cancel_grace_seconds = cancel_grace.total_seconds()
        self._shims: list[subprocess.Popen[bytes]] = []
        self._settled: dict[str, int] = {}
        """Jobs for which nothing is to be done until their state file changes, with its time of change."""

    def advance(self) -> None:
        """Do what is due now; takes some milliseconds, and some 20 more for each process that it starts."""
        self._shims = [shim for shim in self._shims if shim.poll() is None]  # leaves no zombies
        jobs = self._unsettled_jobs()
        for job in jobs:
            if job.alive:
                self._stop_if_due(job)
        taken = {job.state.slot for job in jobs if job.alive}
        waiting = [job for job in jobs if job.state.queued_at is not None and not job.alive]
        for job in sorted(waiting, key=lambda job: job.state.queued_at or 0.0):
            slot = next((slot for slot in range(self._slots) if slot not in taken), None)
            if slot is None:
                return
            taken.add(slot)
            self._start(job, slot)

    def _unsettled_jobs(self) -> list[_Job]:
        jobs = []
        for path in self._root.iterdir():
            if path.name.startswith("."):
                continue
            changed_at = (path / "state.json").stat().st_mtime_ns
            if self._settled.get(path.name) == changed_at:
                continue
            folder = JobFolder(path)
            job = _Job(folder, folder.state(), folder.is_alive())
            self._queue_again_if_never_began(job)
            if job.alive or job.state.queued_at is not None:
                jobs.append(job)
            else:
                self._settled[path.name] = changed_at
        return jobs

    def _queue_again_if_never_began(self, job: _Job) -> None:
        state = job.state
        if state.wanted != "running" or state.queued_at is not None or state.false_starts >= _MAX_FALSE_STARTS:
            return
        if not job.alive and job.folder.never_began(state):
            state.queued_at, state.false_starts = state.submitted_at, state.false_starts + 1
            job.folder.write_state(state)

    def _start(self, job: _Job, slot: int) -> None:
        lock = job.folder.acquire_run_lock()
        if lock is None:
            return
        folder, state = job.folder, job.state
        try:
            folder.forget_run()
            may_resume = state.runs > 0
            folder.write_spec(folder.spec().model_copy(update={"attempt": state.attempt, "resume": may_resume}))
            # The intent is written first. Who is killed behind it leaves the lock free and no run.json.
            state.runs, state.slot, state.queued_at, state.stop_asked_at = state.runs + 1, slot, None, None
            folder.write_state(state)
            command = [*self._command, str(folder.spec_path)]
            self._shims.append(start_shim(folder, command, self._environment_for(slot), lock))
        finally:
            os.close(lock)

    def _environment_for(self, slot: int) -> dict[str, str]:
        environment = child_environment(self._environment)
        if self._gpu_count == 0:
            return environment
        visible = environment.get("CUDA_VISIBLE_DEVICES")
        gpus = visible.split(",") if visible else [str(number) for number in range(self._gpu_count)]
        return {**environment, "CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]}

    def _stop_if_due(self, job: _Job) -> None:
        state = job.state
        if state.wanted == "running":
            return
        if state.stop_asked_at is None:
            if job.folder.run() is not None:  # else the shim has not yet said which process it is
                state.stop_asked_at = time.time()
                job.folder.write_state(state)
                ask_to_stop(job.folder)
        elif state.wanted == "cancelled" and time.time() - state.stop_asked_at > self._cancel_grace_seconds:
            kill(job.folder)
