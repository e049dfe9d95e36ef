"""Times and durations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_NANOS_PER_MICRO = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def time_to_proto(time: datetime | None) -> Timestamp | None:
    """Convert an aware time; None stays absent."""
    if time is None:
        return None
    seconds, rest = divmod(time - _EPOCH, timedelta(seconds=1))
    return Timestamp(seconds=seconds, nanos=rest // _MICROSECOND * _NANOS_PER_MICRO)


def time_from_proto(stamp: Timestamp) -> datetime | None:
    """Convert to an aware time in UTC; None for an absent one and for one that no calendar has.

    A message returns 1970 for a field that is absent, so that second itself counts as absent.
    """
    if not stamp.seconds and not stamp.nanos:
        return None
    try:
        return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // _NANOS_PER_MICRO)
    except OverflowError:
        return None


def duration_to_proto(duration: timedelta | None) -> Duration | None:
    """Convert a duration; None stays absent."""
    if duration is None:
        return None
    micros = duration // _MICROSECOND
    seconds = abs(micros) // 1_000_000
    nanos = abs(micros) % 1_000_000 * _NANOS_PER_MICRO
    # Seconds and nanos of a Duration have the same sign, unlike those of a timedelta.
    return Duration(seconds=seconds, nanos=nanos) if micros >= 0 else Duration(seconds=-seconds, nanos=-nanos)


def duration_from_proto(duration: Duration) -> timedelta | None:
    """Convert a duration; None for an absent or zero one and for one too long to be meant."""
    try:
        value = timedelta(seconds=duration.seconds, microseconds=duration.nanos / _NANOS_PER_MICRO)
    except OverflowError:
        return None
    return value or None
