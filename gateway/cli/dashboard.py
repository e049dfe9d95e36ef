"""The last line of the terminal while a job runs: how far it is, its loss as a curve, and the time that is left."""

from __future__ import annotations

import math
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gateway.cli import words
from gateway.cli.sparkline import sparkline

if TYPE_CHECKING:
    from peftstudio.gateway.v1.jobs_service_pb2 import StreamMetricsResponse
    from peftstudio.job.v1.job_state_pb2 import Progress

KEPT_POINTS = 2000
"""Enough for the shape of any curve in one line; older points are dropped."""
BAR_WIDTH = 24
CURVE_WIDTH = 32


class Dashboard:
    """Shows what a job's metrics said last."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._loss: deque[float] = deque(maxlen=KEPT_POINTS)

    def update(self, update: StreamMetricsResponse) -> None:
        """Take in new points and progress."""
        if update.HasField("progress"):
            self._progress = update.progress

        self._loss.extend(point.value for point in update.metrics if point.name == "loss")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        row = Table.grid(padding=(0, 1))
        progress = self._progress
        share = progress.percentage if progress else 0.0
        curve_width = max(4, min(CURVE_WIDTH, options.max_width - BAR_WIDTH - 44))
        row.add_row(
            ProgressBar(total=100, completed=share, width=BAR_WIDTH),
            Text(f"{share:3.0f} %"),
            Text(self._steps(), style="dim"),
            Text(f"loss {self._last_loss()}" if self._loss else "", style="bold"),
            Text(sparkline(list(self._loss), curve_width), style="cyan"),
            Text(self._remaining(), style="dim"),
        )
        yield row

    def _steps(self) -> str:
        progress = self._progress
        return f"{progress.step}/{progress.total_steps}" if progress and progress.total_steps else ""

    def _last_loss(self) -> str:
        value = self._loss[-1]
        return f"{value:.4g}" if math.isfinite(value) else str(value)

    def _remaining(self) -> str:
        progress = self._progress
        if progress is None or not progress.HasField("estimated_remaining_seconds"):
            return ""

        return f"{words.duration(timedelta(seconds=progress.estimated_remaining_seconds))} left"
