"""The last member of a backup: a line that says what it is, then one line for each file before it, in their order."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import IO

from gateway.errors import ChecksumMismatch, WrongState

NAME = "MANIFEST"
FORMAT = 1
MAX_LINE_BYTES = 64 * 1024
"""Longer than any path."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file."""

    path: str
    size: int
    sha256: str

    def line(self) -> bytes:
        """Write it down."""
        return json.dumps(asdict(self)).encode() + b"\n"


def header(made_at: datetime, *, has_ledger: bool) -> bytes:
    """Write what kind of backup it is."""
    return json.dumps({"format": FORMAT, "made_at": made_at.isoformat(), "has_ledger": has_ledger}).encode() + b"\n"


def compare(told: IO[bytes], found: IO[bytes]) -> bool:
    """Compare a manifest with the entries that were really there, without holding either in memory.

    Returns:
        Whether the backup has a ledger.

    Raises:
        ChecksumMismatch: They are not the same.
        WrongState: A newer gateway made the backup.

    """
    about = json.loads(told.readline(MAX_LINE_BYTES) or b"{}")
    if about.get("format") != FORMAT:
        raise WrongState(f"the backup has format {about.get('format')!r}; a gateway that knows it has to restore it")
    while line := told.readline(MAX_LINE_BYTES):
        if line != found.readline(MAX_LINE_BYTES):
            path = json.loads(line).get("path")
            raise ChecksumMismatch(f"the backup is damaged at {path!r}: what it holds is not what was put into it")
    if found.readline(MAX_LINE_BYTES):
        raise ChecksumMismatch("the backup is damaged: it holds files that its manifest does not name")
    return bool(about.get("has_ledger"))
