"""Read the metrics that a training has recorded so far."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from connector_sdk.errors import CursorExpiredError
from connector_sdk.models import MetricPoint

MOST_POINTS = 10_000  # per answer; the contract's limit
READ_BYTES = 4 * 1024 * 1024


class _Record(BaseModel):
    kind: str
    name: str
    value: float
    """pydantic reads the record file's "nan", "inf" and "-inf" too."""
    step: int = 0
    epoch: float = 0
    attempt: int = 1
    time: float


def read_metrics(path: Path, cursor: str) -> tuple[list[MetricPoint], str]:
    """Give the points behind `cursor`, a number of bytes, and the cursor behind them."""
    if cursor and not cursor.isdecimal():
        raise CursorExpiredError(f"{cursor!r} is no cursor of these metrics; start again without one.")
    offset = int(cursor or 0)
    with path.open("rb") as file:
        file.seek(offset)
        lines = file.read(READ_BYTES).split(b"\n")[:-1]
    points: list[MetricPoint] = []
    for line in lines:
        point = _point(line)
        if point is not None and len(points) == MOST_POINTS:
            break
        offset += len(line) + 1
        points += [point] if point else []
    return points, str(offset)


def _point(line: bytes) -> MetricPoint | None:
    """Give the point of a line; other kinds of records, and one that a crash cut off, have none."""
    try:
        content = json.loads(line)
        if not isinstance(content, dict) or content.get("kind") != "metric":
            return None
        record = _Record.model_validate(content)
    except (ValueError, ValidationError):
        return None
    return MetricPoint(
        name=record.name,
        value=record.value,
        step=record.step,
        epoch=record.epoch,
        attempt=record.attempt,
        time=datetime.fromtimestamp(record.time, UTC),
    )
