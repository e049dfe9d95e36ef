"""Metrics: points in order, continued by cursor."""

from __future__ import annotations

from connector_sdk.conformance.check import SkippedCheck, check, expect
from connector_sdk.conformance.trial import Trial
from connector_sdk.conformance.work import ended
from peftstudio.connector.v1 import connector_service_pb2 as pb

MOST_POINTS = 10_000
MOST_PAGES = 100


@check("metrics.points", remedy="Name every point and give its step; at most 10,000 in one answer.")
async def points(trial: Trial) -> None:
    """Every point has a name and a step that is not negative; an answer has at most 10,000."""
    said = await _first(trial)
    expect(len(said.metrics) <= MOST_POINTS, f"there are {len(said.metrics)}")
    for point in said.metrics:
        expect(bool(point.name) and point.step >= 0, f"a point is {point}")


@check("metrics.ordered", remedy="Send the points of each metric with the oldest first.")
async def ordered(trial: Trial) -> None:
    """The points of a metric come in the order of their steps."""
    last: dict[tuple[str, int], int] = {}
    for point in (await _first(trial)).metrics:
        key = (point.name, point.attempt)
        expect(point.step >= last.get(key, 0), f"{point.name}: behind step {last.get(key)} comes {point.step}")
        last[key] = point.step


@check("metrics.resumed", remedy="Give the points behind the cursor, and a cursor behind those; or no cursor at all.")
async def resumed(trial: Trial) -> None:
    """From the last cursor of an ended job on, no point comes again."""
    job, wire, said = await ended(trial), await trial.wire(), await _first(trial)
    if not said.cursor:
        raise SkippedCheck("it gives all points each time")
    for _ in range(MOST_PAGES):
        request = pb.GetMetricsRequest(connection_id=job.connection, platform_job_id=job.id, cursor=said.cursor)
        said = await wire.ask(request, pb.GetMetricsResponse)
        if not said.metrics:
            return
    expect(False, f"points still come after {MOST_PAGES} answers")


@check("metrics.again", remedy="Reading metrics changes nothing: without a cursor, begin at the first point.")
async def again(trial: Trial) -> None:
    """Asked again without a cursor, the points of an ended job are the same."""
    before = await _first(trial)
    expect(list((await _ask(trial)).metrics) == list(before.metrics), "they are others")


async def _first(trial: Trial) -> pb.GetMetricsResponse:
    await trial.capable_of("get_metrics")
    return await trial.facts.get("metrics", lambda: _ask(trial))


async def _ask(trial: Trial) -> pb.GetMetricsResponse:
    job = await ended(trial)
    request = pb.GetMetricsRequest(connection_id=job.connection, platform_job_id=job.id)
    return await (await trial.wire()).ask(request, pb.GetMetricsResponse)
