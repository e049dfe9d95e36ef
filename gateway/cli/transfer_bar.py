"""A progress bar for files on their way; nothing where stderr is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gateway.cli import printing

if TYPE_CHECKING:
    from gateway.client import Progress


@contextmanager
def transfer_bar(verb: str) -> Iterator[Callable[[Progress], None] | None]:
    """Show a bar a file and yield what has to be told of its progress."""
    if not sys.stderr.isatty():
        yield None
        return

    from rich import progress

    bars = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=printing.stderr(),
        transient=True,
    )
    tasks: dict[str, progress.TaskID] = {}

    def update(step: Progress) -> None:
        if step.path not in tasks:
            tasks[step.path] = bars.add_task(f"{verb} {step.path}", total=step.total_bytes)

        bars.update(tasks[step.path], completed=step.done_bytes, total=step.total_bytes)

    with bars:
        yield update
