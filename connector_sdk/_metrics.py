"""Read metrics in the shapes that authors and trainers give them, and write them for travel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from connector_sdk._text import clean
from connector_sdk._times import to_timestamp
from connector_sdk.connector import PlatformConnector, overrides
from connector_sdk.models import MetricPoint
from peftstudio.job.v1 import metric_pb2

MOST_POINTS = 10_000  # per answer; the contract's limit

STEP_KEYS = ("step", "global_step")
COORDINATES = (*STEP_KEYS, "epoch", "attempt", "time", "timestamp")
"""Keys of a row that say where its values belong, and are no metrics themselves."""


async def metrics_since(connector: PlatformConnector, job_id: str, cursor: str) -> tuple[list[metric_pb2.Metric], str]:
    """Give the points behind `cursor`, and the cursor behind them; empty = all of them come again each time."""
    if overrides(connector, "get_metrics_since"):
        points, behind = await connector.get_metrics_since(job_id, cursor)
        return [_to_metric(point) for point in points], behind
    points = read_metrics(await connector.get_metrics(job_id))
    start = int(cursor) if cursor.isdigit() else 0
    page = points[start : start + MOST_POINTS]
    behind = str(start + len(page)) if start or len(points) > MOST_POINTS else ""
    return [_to_metric(point) for point in page], behind


def read_metrics(
    said: Mapping[str, object] | Sequence[Mapping[str, object]] | Sequence[MetricPoint],
) -> list[MetricPoint]:
    """Read one row, rows, columns (`{"loss": [2.5, 2.1]}`) or ready points."""
    if isinstance(said, Mapping):
        inner = said.get("metrics")
        if isinstance(inner, Mapping | list):
            return read_metrics(inner)
        columns = [_column(name, values) for name, values in said.items() if isinstance(values, list | tuple)]
        return [*_row(said), *(point for column in columns for point in column)]
    return [point for item in said for point in ([item] if isinstance(item, MetricPoint) else _row(item))]


def _row(row: Mapping[str, object]) -> Iterable[MetricPoint]:
    step = next((int(value) for key in STEP_KEYS if (value := _number(row.get(key))) is not None), 0)
    epoch = _number(row.get("epoch")) or 0.0
    value = _number(row.get("value"))
    if isinstance(row.get("name"), str) and value is not None:
        return [MetricPoint(name=str(row["name"]), value=value, step=step, epoch=epoch)]
    numbers = {name: _number(value) for name, value in row.items() if name not in COORDINATES}
    return [
        MetricPoint(name=name, value=number, step=step, epoch=epoch)
        for name, number in numbers.items()
        if number is not None
    ]


def _column(name: str, values: Sequence[object]) -> Iterable[MetricPoint]:
    numbers = [(index, _number(value)) for index, value in enumerate(values, start=1)]
    return [MetricPoint(name=name, value=number, step=step) for step, number in numbers if number is not None]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _to_metric(point: MetricPoint) -> metric_pb2.Metric:
    return metric_pb2.Metric(
        name=clean(point.name),
        step=point.step,
        epoch=point.epoch,
        value=point.value,
        time=to_timestamp(point.time),
        attempt=point.attempt,
    )
