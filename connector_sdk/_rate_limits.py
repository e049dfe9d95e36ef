"""Read in an answer's headers for how long a platform wants to be left alone, in the shapes that vendors use.

| shape | example |
|---|---|
| `Retry-After` | `30`, or a date |
| `X-RateLimit-Reset` | `1767225600` (an epoch in s or ms), or `30` (seconds from now); with `X-RateLimit-Remaining` |
| `RateLimit`, as the IETF drafts have it | `"default";r=0;t=30`, `remaining=0, reset=30`, `RateLimit-Reset: 30` |
| `x-ratelimit-reset-requests`, `-tokens` | `1s`, `6m0s`, `20ms`; with `x-ratelimit-remaining-requests` |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from connector_sdk._retry_after import retry_after

TOO_MANY = 429
EPOCH_SECONDS = 1e9  # a number beyond it is a time of day and no wait: as one, it would be thirty years
EPOCH_MILLISECONDS = 1e12
LONGEST_SECONDS = 86_400.0  # what a platform asks beyond a day is a mistake of its clock
UNIT_SECONDS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6}
PREFIXES = ("x-ratelimit-", "x-rate-limit-", "ratelimit-")
REMAINING, RESET = "remaining", "reset"

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|d|h|m|s)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_DRAFT = re.compile(r"\b(r|t|remaining|reset)=(\d+)")


def rate_limit_pause(headers: Mapping[str, str], *, status: int) -> float | None:
    """Return the seconds until the next call may be made; None = the answer does not say.

    `Retry-After` counts in every answer of 400 and above. A limit counts once nothing remains of it, and in a 429 where
    it is not told what remains.
    """
    if status >= 400 and (asked := retry_after(headers)) is not None:
        return min(asked, LONGEST_SECONDS)
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    limits = [*_by_suffix(lower), *_drafts(lower.get("ratelimit", ""))]
    used_up = [seconds for remaining, seconds in limits if remaining == 0]
    unsaid = [seconds for remaining, seconds in limits if remaining is None and status == TOO_MANY]
    return min(max(used_up or unsaid), LONGEST_SECONDS) if used_up or unsaid else None


def _by_suffix(headers: Mapping[str, str]) -> Iterator[tuple[float | None, float]]:
    """Yield what remains and the seconds until it is full again, for each pair of headers that there is."""
    now = _now(headers)
    for name, text in headers.items():
        prefix = next((one for one in PREFIXES if name.startswith(one + RESET)), None)
        seconds = None if prefix is None else _seconds(text, now)
        if prefix is not None and seconds is not None:
            suffix = name.removeprefix(prefix + RESET)
            yield _number(headers.get(f"{prefix}{REMAINING}{suffix}", "")), seconds


def _drafts(text: str) -> Iterator[tuple[float | None, float]]:
    """Yield the same of a `RateLimit` header: in its latest form one item a policy, in earlier ones a single list."""
    items = text.split(",") if ";" in text else [text]
    for item in items:
        found = {key[0] if key in ("r", "t") else key[:3]: float(value) for key, value in _DRAFT.findall(item)}
        seconds = found.get("t", found.get("res"))
        if seconds is not None:
            yield found.get("r", found.get("rem")), seconds


def _seconds(text: str, now: float) -> float | None:
    number = _number(text)
    if number is not None:
        if number >= EPOCH_MILLISECONDS:
            number /= 1000
        return max(number - now, 0.0) if number >= EPOCH_SECONDS else number
    parts = _PART.findall(text)
    if parts and "".join(f"{count}{unit}" for count, unit in parts) == text:
        return sum(float(count) * UNIT_SECONDS[unit] for count, unit in parts)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now, 0.0)


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _now(headers: Mapping[str, str]) -> float:
    """Return the platform's own time, which may be hours off ours."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        return datetime.now(UTC).timestamp()
