"""Checksums of files and of pieces."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

_HAS_CRC32C = find_spec("google_crc32c") is not None
"""Optional: it only finds damage earlier, as the SHA-256 over the whole file is checked in any case."""


def crc32c(data: bytes) -> int | None:
    """Return the CRC-32C of some bytes; None where the library for it is not installed."""
    if not _HAS_CRC32C:
        return None

    import google_crc32c

    checksum: int = google_crc32c.value(data)
    return checksum


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
