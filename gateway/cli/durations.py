"""Lengths of time and points in time as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from gateway.cli.exit_codes import ExitCode
from gateway.cli.running import CommandError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def parse_duration(text: str) -> timedelta:
    """Read `90s`, `10m`, `1h30m`, `2d`, or a plain number of seconds."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return timedelta(seconds=float(text))

    if not re.fullmatch(f"(?:{_PART.pattern})+", text):
        raise CommandError(f"{text!r} is not a length of time; write 90s, 10m, 1h30m or 2d", ExitCode.USAGE)

    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text)))


def parse_moment(text: str, now: datetime | None = None) -> datetime:
    """Read `10m` (so long ago) or an ISO 8601 time; one without a zone is local."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return (now or datetime.now(UTC)) - parse_duration(text)
