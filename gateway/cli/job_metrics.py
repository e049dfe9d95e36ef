"""`peftstudio jobs metrics`."""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live

from gateway.cli import printing
from gateway.cli.dashboard import Dashboard
from gateway.cli.job_logs import REFRESHES_PER_SECOND
from gateway.cli.options import JobRef, Json, examples
from gateway.cli.references import find_job
from gateway.cli.running import detaching, run
from gateway.cli.sparkline import sparkline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.client import Client
    from peftstudio.gateway.v1.jobs_service_pb2 import StreamMetricsResponse
    from peftstudio.job.v1.metric_pb2 import Metric

CURVE_WIDTH = 40


def add_to(jobs: typer.Typer) -> None:
    """Add the command."""
    jobs.command(
        epilog=examples("peftstudio jobs metrics job-1m8", "peftstudio jobs metrics job-1m8 --name loss --follow")
    )(metrics)


def metrics(
    context: typer.Context,
    job: JobRef,
    name: Annotated[list[str] | None, typer.Option(help="Only this metric; can be repeated.")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the job ends.")] = False,
    as_json: Json = False,
) -> None:
    """Show a job's metrics: a curve each on a terminal, a point a line in a pipe."""

    async def action(client: Client) -> None:
        found = await find_job(client, job)
        if follow:
            async with detaching(found.id):
                await _follow(client, found.id, name or [], as_json=as_json)

            return

        known = await client.jobs.metrics(found.id, names=name or [])
        if as_json:
            printing.print_json(known)
        elif sys.stdout.isatty():
            _print_curves(known.metrics)
        else:
            _print_points(known.metrics)

    run(context, action)


async def _follow(client: Client, job_id: str, names: list[str], *, as_json: bool) -> None:
    seen: list[Metric] = []
    dashboard = Dashboard()
    is_live = sys.stdout.isatty() and not as_json
    async with aclosing(client.jobs.follow_metrics(job_id, names=names)) as updates:
        with Live(dashboard, refresh_per_second=REFRESHES_PER_SECOND, transient=True) if is_live else nullcontext():
            async for update in updates:
                _take(update, dashboard, seen, is_live=is_live, as_json=as_json)

    if is_live:
        _print_curves(seen)


def _take(
    update: StreamMetricsResponse, dashboard: Dashboard, seen: list[Metric], *, is_live: bool, as_json: bool
) -> None:
    if as_json:
        printing.print_json_line(update)
    elif is_live:
        dashboard.update(update)
        seen.extend(update.metrics)
    else:
        _print_points(update.metrics)


def _print_points(points: Iterable[Metric]) -> None:
    for point in points:
        printing.print_line(f"{point.step}\t{point.name}\t{point.value:.6g}")


def _print_curves(points: Iterable[Metric]) -> None:
    by_name: dict[str, list[Metric]] = defaultdict(list)
    for point in points:
        by_name[point.name].append(point)

    rows = [
        [
            name,
            f"{series[-1].value:.5g}",
            f"{min(point.value for point in series):.5g}",
            f"{max(point.value for point in series):.5g}",
            str(series[-1].step),
            sparkline([point.value for point in series], CURVE_WIDTH),
        ]
        for name, series in by_name.items()
    ]
    printing.print_table(["METRIC", "LAST", "LEAST", "GREATEST", "STEP", "CURVE"], rows, empty="no metrics yet")
