"""Name an artifact after its first bytes."""

from __future__ import annotations

import json

ENOUGH_BYTES = 4096  # more than the magic of any format here, and the start of a safetensors header

MAGIC = (
    (b"PK\x03\x04", "adapter.zip"),
    (b"\x1f\x8b", "adapter.tar.gz"),
)
TAR_MAGIC_OFFSET = 257


def file_name_of(head: bytes) -> str:
    """Give the name that the file should have; `adapter.bin` where nothing is recognised."""
    for magic, name in MAGIC:
        if head.startswith(magic):
            return name
    if head[TAR_MAGIC_OFFSET : TAR_MAGIC_OFFSET + 5] == b"ustar":
        return "adapter.tar"
    if _is_safetensors(head):
        return "adapter_model.safetensors"
    return "adapter.bin"


def _is_safetensors(head: bytes) -> bool:
    """Look for a little-endian header length and a JSON object behind it."""
    length = int.from_bytes(head[:8], "little")
    if not (2 <= length <= 100_000_000) or head[8:9] != b"{":
        return False
    if len(head) < 8 + length:
        return True
    try:
        json.loads(head[8 : 8 + length])
    except ValueError:
        return False
    return True
