"""CRC-32C (Castagnoli), for the pieces of artifacts that carry one; the core dependencies have none."""

from __future__ import annotations

POLYNOMIAL = 0x82F63B78


def _row(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (POLYNOMIAL if value & 1 else 0)
    return value


TABLE = tuple(_row(value) for value in range(256))


def crc32c(data: bytes) -> int:
    """Compute it; some tenths of a second for each MiB."""
    value = 0xFFFFFFFF
    for byte in data:
        value = TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF
