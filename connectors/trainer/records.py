"""The channel on which the trainer tells a program, not a person, what happens: one JSON object per line."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Literal

from connectors.trainer.exit_codes import ExitCode, reason_of

Phase = Literal["loading_model", "loading_data", "training", "evaluating", "saving"]
Outcome = Literal["succeeded", "interrupted", "failed"]
Scalar = str | int | float | None


class RecordWriter:
    """Append records to a file, each in one write, so that a reader never sees half a line.

    Writing goes straight to the descriptor: a signal handler may write while the main code does.
    """

    def __init__(self, path: Path, attempt: int = 1) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._attempt = attempt

    def phase(self, phase: Phase) -> None:
        """Record that a phase begins."""
        self._write({"kind": "phase", "phase": phase})

    def metric(self, name: str, value: float, step: int, epoch: float) -> None:
        """Record one value; NaN and infinities are kept, as the strings "nan", "inf" and "-inf"."""
        point: dict[str, Scalar] = {"name": name, "value": json_number(value), "step": step, "epoch": round(epoch, 6)}
        self._write({"kind": "metric", **point, "attempt": self._attempt})

    def progress(self, step: int, total_steps: int, estimated_remaining_seconds: float | None) -> None:
        """Record how far the training is."""
        remaining = None if estimated_remaining_seconds is None else round(estimated_remaining_seconds, 1)
        record: dict[str, Scalar] = {"step": step, "total_steps": total_steps, "estimated_remaining_seconds": remaining}
        self._write({"kind": "progress", **record})

    def result(self, outcome: Outcome, exit_code: ExitCode, message: str, step: int | None = None) -> None:
        """Record how the run ended; always the last record of an attempt's run."""
        record: dict[str, Scalar] = {"outcome": outcome, "exit_code": int(exit_code), "reason": reason_of(exit_code)}
        self._write({"kind": "result", **record, "message": message, "step": step, "attempt": self._attempt})

    def _write(self, record: dict[str, Scalar]) -> None:
        line = json.dumps({**record, "time": time.time()}, ensure_ascii=False, allow_nan=False)
        os.write(self._descriptor, line.encode() + b"\n")


def json_number(value: float) -> float | str:
    """Make a float fit for strict JSON, which has no NaN and no infinities."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value
