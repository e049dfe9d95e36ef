"""Read how long a platform wants to be left alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, a number or a date; None = it does not say.

    A date is read by the platform's own clock, which the answer's `Date` tells: it may be hours off.
    """
    wish = headers.get("Retry-After", "").strip()
    if wish.isascii() and wish.replace(".", "", 1).isdigit():
        return float(wish)
    until = _moment(wish)
    if until is None:
        return None
    return max((until - (_moment(headers.get("Date", "")) or datetime.now(UTC))).total_seconds(), 0.0)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
