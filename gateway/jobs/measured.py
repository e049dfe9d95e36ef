"""What trainings say of themselves in their logs: lines like `{'loss': 1.2, 'learning_rate': 1e-05, 'epoch': 0.1}`.

For platforms that give no metrics. A line of numbers only, as trainers print a dict of Python or JSON, is taken; all
else is left alone. Where it names no step, the number of its line stands in: it grows, and is the same whenever the
line is read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from gateway.jobs.model import Metric
from gateway.logs.wire import LogLine

MAX_LINE_CHARS = 4096
"""Longer lines are no trainer's."""

MAX_NAME_CHARS = 100
MOST_NAMES = 64
"""In one line; a dict of more is data, not measurements."""

TOKEN_NAMES = frozenset({"num_tokens", "num_input_tokens_seen", "tokens_seen", "total_tokens"})
"""Metrics of trainers that count the tokens trained so far."""

_STEPS = ("step", "global_step")
_COORDINATES = frozenset({*_STEPS, "epoch", "attempt", "time", "timestamp"})
_NUMBER = r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|nan|NaN|inf|Infinity)"
_PAIR = rf"""(?:'([^'\\]{{1,{MAX_NAME_CHARS}}})'|"([^"\\]{{1,{MAX_NAME_CHARS}}})")\s*:\s*['"]?({_NUMBER})['"]?"""
# No two parts that stand side by side can take the same characters: a line takes as long as it is, whatever it is.
_PAIRS = re.compile(_PAIR)
_LINE = re.compile(rf"\{{\s*{_PAIR}(?:\s*,\s*{_PAIR})*(?:\s*,)?\s*\}}")


def measured(lines: Iterable[LogLine], first_seq: int, now: datetime) -> list[Metric]:
    """Return what lines measure; the first of them is stored as line `first_seq`."""
    return [point for seq, line in enumerate(lines, first_seq) for point in _points(line, seq, now)]


def tokens_of(points: Sequence[Metric]) -> int:
    """Return the tokens trained so far; 0 = these points do not tell."""
    counts = [int(point.value) for point in points if point.name in TOKEN_NAMES and 0 <= point.value < 2**62]
    return max(counts, default=0)


def _points(line: LogLine, seq: int, now: datetime) -> Sequence[Metric]:
    text = line.text
    # Most lines are none, and this is the cheapest way to know.
    if "{" not in text:
        return ()
    text = text.strip()
    # A progress bar that draws over itself leaves the dict behind its last carriage return.
    text = text.rpartition("\r")[2].strip()
    if not text.startswith("{") or len(text) > MAX_LINE_CHARS or not _LINE.fullmatch(text):
        return []
    values = {single or double: float(number) for single, double, number in _PAIRS.findall(text)}
    if len(values) > MOST_NAMES:
        return []
    step = next((int(values[key]) for key in _STEPS if 0 <= values.get(key, -1) < 2**62), seq)
    epoch = values.get("epoch", 0.0)
    time = line.time.ToDatetime(UTC) if line.HasField("time") else now
    return [
        Metric(
            name=name,
            value=value,
            step=step,
            epoch=epoch if abs(epoch) < float("inf") else 0.0,
            time=time,
            attempt=line.attempt or 1,
        )
        for name, value in values.items()
        if name not in _COORDINATES
    ]
