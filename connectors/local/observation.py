"""What the files of a job say about it, in the words of the connector interface.

A job is running while its run lives. Once no process lives: it is completed when the run ended with status 0 and
the artifacts are whole, whatever was wanted by then; else cancelled when that was wanted; paused when that was
wanted and the run let itself be interrupted; pending while it waits for a slot; failed otherwise.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import UTC, datetime

from connector_sdk.models import JobObservation, JobStatus, Progress
from connectors.local.job_folder import ExitRecord, JobFolder, JobState, read_json_lines
from connectors.trainer.exit_codes import ExitCode, reason_of

_TAIL_BYTES = 64 * 1024  # holds the last progress and result records of any job


@dataclass(frozen=True, slots=True)
class _End:
    """How the current run ended, from the shim or, where the shim was killed, from the trainer's last word."""

    code: int | None
    signal: int | None
    oom: bool
    message: str
    ended_at: float


def observe(folder: JobFolder) -> JobObservation:
    """Describe a job as its files and processes are now; reads the last 64 KiB of its records."""
    alive = folder.is_alive()  # first: what a run writes before it ends is then seen below
    state = folder.state()
    records = read_json_lines(folder.records_path, _TAIL_BYTES) if state.runs else []
    run = folder.run()
    started_at = run.started_at if run else None
    end = None if alive or not state.runs else _end(folder.exit(), records, started_at or 0.0)
    observation = _running(state) if alive else _standing(folder, state, end)
    observation.attempt = state.attempt
    observation.progress = _progress(records)
    observation.started_at = _time(started_at)
    observation.ended_at = _time(end.ended_at) if end else None
    observation.resource_held = alive
    return observation


def _running(state: JobState) -> JobObservation:
    if state.wanted == "paused":
        return JobObservation(status=JobStatus.RUNNING, phase="pausing", message="writing a checkpoint")
    if state.wanted == "cancelled":
        return JobObservation(status=JobStatus.RUNNING, phase="finalizing", message="stopping")
    return JobObservation(status=JobStatus.RUNNING, phase="running")


def _standing(folder: JobFolder, state: JobState, end: _End | None) -> JobObservation:
    if end is not None and end.code == ExitCode.OK and folder.is_complete():
        return JobObservation(status=JobStatus.COMPLETED, reason="OK", message=end.message, exit_code=0)
    if state.wanted == "cancelled":
        return JobObservation(status=JobStatus.CANCELLED, reason="CANCELLED_BY_USER", message="cancelled")
    if state.queued_at is not None:
        return JobObservation(status=JobStatus.PENDING, phase="queued", message="waiting for a free slot")
    if state.wanted == "paused" and (end is None or _let_itself_be_interrupted(end)) and not _vanished(state, end):
        return JobObservation(status=JobStatus.PAUSED, message="paused")
    return _failed(end)


def _vanished(state: JobState, end: _End | None) -> bool:
    return state.runs > 0 and end is None


def _let_itself_be_interrupted(end: _End) -> bool:
    # A SIGTERM that comes before the trainer listens ends it like any other program.
    return end.code == ExitCode.INTERRUPTED or end.signal == signal.SIGTERM


def _failed(end: _End | None) -> JobObservation:
    reason, message = _why(end)
    code = end.code if end else None
    return JobObservation(status=JobStatus.FAILED, reason=reason, message=message, exit_code=code)


def _why(end: _End | None) -> tuple[str, str]:
    if end is None:
        return "NODE_FAILED", "the training process disappeared without an exit status"
    if end.oom:
        return "OUT_OF_MEMORY", "the system killed the training because memory ran out"
    if end.signal is not None:
        return "EXIT_NONZERO", f"the training was killed by {signal.Signals(end.signal).name}"
    if end.code == ExitCode.INTERRUPTED:
        return "PREEMPTED", "the training was stopped from outside; resume continues from its checkpoint"
    if end.code == ExitCode.OK:
        return "EXIT_NONZERO", "the training ended with status 0 but left no artifacts"
    message = end.message or f"the training ended with status {end.code}; its stderr log says more"
    return reason_of(end.code or 0), message


def _end(exit_record: ExitRecord | None, records: list[dict[str, object]], started_at: float) -> _End | None:
    result = next((record for record in reversed(records) if record.get("kind") == "result"), {})
    time, code = result.get("time"), result.get("exit_code")
    is_of_this_run = isinstance(time, float) and time >= started_at
    message = str(result.get("message", "")) if is_of_this_run else ""
    if exit_record is not None:
        return _End(exit_record.code, exit_record.signal, exit_record.oom, message, exit_record.ended_at)
    if is_of_this_run and isinstance(time, float) and isinstance(code, int):
        return _End(code, None, False, message, time)
    return None


def _progress(records: list[dict[str, object]]) -> Progress | None:
    last = next((record for record in reversed(records) if record.get("kind") == "progress"), None)
    return Progress.model_validate(last) if last else None


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
