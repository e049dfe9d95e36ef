"""`peftstudio jobs logs`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.text import Text

from gateway.cli import printing
from gateway.cli.dashboard import Dashboard
from gateway.cli.durations import parse_moment
from gateway.cli.exit_codes import ExitCode
from gateway.cli.options import JobRef, Json, examples
from gateway.cli.references import find_job
from gateway.cli.running import CommandError, detaching, run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gateway.client import Client, GatewayCallError
    from peftstudio.job.v1.log_pb2 import LogFilter, LogLine

REFRESHES_PER_SECOND = 4
"""Fast enough to look alive, slow enough for a slow terminal."""


def add_to(jobs: typer.Typer) -> None:
    """Add the command."""
    jobs.command(
        epilog=examples(
            "peftstudio jobs logs job-1m8 -f",
            "peftstudio jobs logs job-1m8 --tail 100 --stream stderr",
            "peftstudio jobs logs job-1m8 --since 10m --grep 'loss|error'",
        )
    )(logs)


def logs(
    context: typer.Context,
    job: JobRef,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Wait for what comes, until the job ends.")] = False,
    tail: Annotated[int | None, typer.Option("-n", "--tail", min=0, help="Begin with the last so many lines.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Begin here: 10m, 2h, or an ISO time.")] = None,
    stream: Annotated[list[str] | None, typer.Option(help="stdout, stderr or system; can be repeated.")] = None,
    grep: Annotated[str, typer.Option(metavar="REGEX", help="Only lines in which this is found.")] = "",
    as_json: Json = False,
) -> None:
    """Show a job's log. Ctrl-C ends the showing, never the job."""

    async def action(client: Client) -> None:
        if tail is not None and since is not None:
            raise CommandError("--tail and --since do not go together", ExitCode.USAGE)

        start = parse_moment(since) if since else None
        line_filter = _filter(stream or [], grep)
        found = await find_job(client, job)
        lines = client.jobs.logs(
            found.id, follow=follow, tail=tail, since=start, line_filter=line_filter, on_cut=_notice()
        )
        if not follow:
            await _print(lines, _printer(as_json=as_json))
            return

        async with detaching(found.id), _dashboard(client, found.id, as_json=as_json) as show:
            await _print(lines, show)

    run(context, action)


async def follow_log(client: Client, job_id: str, *, as_json: bool) -> None:
    """Show a job's log from the beginning to its end."""
    async with _dashboard(client, job_id, as_json=as_json) as show:
        await _print(client.jobs.logs(job_id, follow=True, on_cut=_notice()), show)


async def _print(lines: AsyncGenerator[LogLine, None], show: Callable[[LogLine], None]) -> None:
    async with aclosing(lines) as each:
        async for line in each:
            show(line)


@asynccontextmanager
async def _dashboard(client: Client, job_id: str, *, as_json: bool) -> AsyncIterator[Callable[[LogLine], None]]:
    """Keep progress and loss in the last line of a terminal; yield what prints above it."""
    if as_json or not sys.stdout.isatty():
        yield _printer(as_json=as_json)
        return

    console, dashboard = printing.stdout(), Dashboard()
    try:
        with Live(dashboard, console=console, refresh_per_second=REFRESHES_PER_SECOND, transient=True):
            async with asyncio.TaskGroup() as group:
                metrics = group.create_task(_feed(client, job_id, dashboard))
                try:
                    yield lambda line: console.print(_styled(line))
                finally:
                    metrics.cancel()
    except BaseExceptionGroup as failures:
        # The feed swallows its own errors: what is in the group is the one error of the log, wanted as it is.
        raise failures.exceptions[0] from None


async def _feed(client: Client, job_id: str, dashboard: Dashboard) -> None:
    from gateway.client import ClientError

    try:
        async with aclosing(client.jobs.follow_metrics(job_id)) as updates:
            async for update in updates:
                dashboard.update(update)
    except ClientError:
        # A platform without metrics still has a log, which is what was asked for.
        return


def _printer(*, as_json: bool) -> Callable[[LogLine], None]:
    if as_json:
        return printing.print_json_line

    if not sys.stdout.isatty():
        return lambda line: printing.print_line(line.text)

    console = printing.stdout()
    return lambda line: console.print(_styled(line))


def _notice() -> Callable[[GatewayCallError], None]:
    """Return what says once, on stderr, that the connection is gone."""
    said: set[str] = set()

    def notice(error: GatewayCallError) -> None:
        # Streams are renewed every few minutes in the normal course of things.
        is_news = error.code.name != "DEADLINE_EXCEEDED" and error.message not in said
        if is_news and sys.stderr.isatty():
            said.add(error.message)
            printing.stderr().print(f"{error.message}; trying again", style="yellow")

    return notice


def _styled(line: LogLine) -> Text:
    from peftstudio.job.v1.log_pb2 import LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_STREAM_SYSTEM

    # Colours of the training program are kept; its other control sequences must not reach the terminal.
    text = Text.from_ansi(line.text, end="")
    if line.stream == LOG_STREAM_SYSTEM:
        text.stylize("dim italic")

    if line.level == LOG_LEVEL_ERROR:
        text.stylize("red")
    elif line.level == LOG_LEVEL_WARNING:
        text.stylize("yellow")

    return text


def _filter(streams: list[str], regex: str) -> LogFilter:
    from peftstudio.job.v1.log_pb2 import LOG_STREAM_STDERR, LOG_STREAM_STDOUT, LOG_STREAM_SYSTEM, LogFilter

    known = {"stdout": LOG_STREAM_STDOUT, "stderr": LOG_STREAM_STDERR, "system": LOG_STREAM_SYSTEM}
    unknown = [stream for stream in streams if stream not in known]
    if unknown:
        raise CommandError(f"there is no stream {unknown[0]!r}; there are {', '.join(known)}", ExitCode.USAGE)

    return LogFilter(streams=[known[stream] for stream in streams], regex=regex)
