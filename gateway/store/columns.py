"""How values that SQL does not know are kept in columns."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy
from sqlalchemy import Dialect, String, TypeDecorator

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


class _Storable(TypeDecorator[str]):
    """Text of anybody: a NUL in it, which PostgreSQL cannot keep, becomes the sign for what cannot be shown."""

    impl: type[String] = String
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:
        """Return what replaces what cannot be kept: one function, as each cell of each row passes it."""
        return _without_nul


def _without_nul(value: str | None) -> str | None:
    return value and value.replace("\0", "\N{REPLACEMENT CHARACTER}")


class Text(_Storable):
    """Text of any length."""

    impl = sqlalchemy.Text
    cache_ok = True


class Word(_Storable):
    """Text of a limited length."""

    cache_ok = True
