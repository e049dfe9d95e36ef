"""Identifiers: short, lower-case, safe in file names and host names, and sorted by the time they were made."""

from __future__ import annotations

import secrets
from datetime import datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no letters that are mistaken for digits."""


def new_id(prefix: str, now: datetime) -> str:
    """Make an id like `job-01k9x2m7pq4rstvw`: 45 bits of milliseconds, then 35 random bits."""
    value = int(now.timestamp() * 1000) << 35 | secrets.randbits(35)
    digits = "".join(_ALPHABET[value >> shift & 31] for shift in range(75, -1, -5))
    return f"{prefix}-{digits}"
