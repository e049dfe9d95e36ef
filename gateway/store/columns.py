"""How values that SQL does not know are kept in columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(time: datetime) -> int:
    """Keep a time."""
    return (time - _EPOCH) // _MICROSECOND


def micros_or_none(time: datetime | None) -> int | None:
    """Keep a time that may be missing."""
    return None if time is None else micros(time)


def moment(value: int) -> datetime:
    """Get a time back."""
    return _EPOCH + timedelta(microseconds=value)


def moment_or_none(value: int | None) -> datetime | None:
    """Get a time back that may be missing."""
    return None if value is None else moment(value)
