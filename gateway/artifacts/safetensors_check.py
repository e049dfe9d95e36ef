"""Whether a safetensors file is whole: its header says how long it is, so that a cut one is noticed without loading it.

The format: 8 bytes little-endian length of the header, the header as JSON, then the tensors without holes.
"""

from __future__ import annotations

import json
from pathlib import Path

_LENGTH_BYTES = 8

_MAX_HEADER_BYTES = 100 * 1024 * 1024
"""What the format's own reader accepts; a larger one is noise read as a length."""


def safetensors_fault(path: Path) -> str:
    """Say what is wrong with a file; empty = nothing is. Blocks."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or length > min(_MAX_HEADER_BYTES, size - _LENGTH_BYTES):
            return f"its header would end behind the file's end at {size} bytes"
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        return "its header is not JSON"
    if not isinstance(header, dict):
        return "its header is not a JSON object"
    return _layout_fault(header, size - _LENGTH_BYTES - length)


def _layout_fault(header: dict[str, object], available: int) -> str:
    spans = []
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        span = _span(tensor)
        if span is None:
            return f"tensor {name!r} has no usable offsets"
        spans.append(span)
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            return f"its tensors leave a hole or overlap at byte {end}"
        end = stop
    return "" if end == available else f"its tensors take {end} bytes and the file has {available} for them"


def _span(tensor: object) -> tuple[int, int] | None:
    offsets = tensor.get("data_offsets") if isinstance(tensor, dict) else None
    match offsets:
        case [int(start), int(stop)] if 0 <= start <= stop:
            return start, stop
        case _:
            return None
