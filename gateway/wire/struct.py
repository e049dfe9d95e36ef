"""JSON documents, which the gateway keeps as text and the wire as `Struct`.

Protobuf's own conversions take several times as long, and a search converts many documents.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from google.protobuf.struct_pb2 import Struct, Value

JSON = None | bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"]

_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: JSON) -> str:
    """Write JSON so that equal documents are equal texts."""
    return _encoder.encode(value)


def json_from_struct(struct: Struct) -> str:
    """Return the canonical JSON of a struct.

    Raises:
        ValueError: It holds a number that JSON has not: NaN or an infinity.

    """
    return canonical(_object(struct))


def struct_from_json(text: str) -> Struct:
    """Return the struct of a JSON object.

    Raises:
        ValueError: The text is not a JSON object.

    """
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object is needed, and this is none: {text[:80]}")
    struct = Struct()
    struct.update(value)
    return struct


def _object(struct: Struct) -> dict[str, JSON]:
    return {key: _value(value) for key, value in struct.fields.items()}


def _value(value: Value) -> JSON:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            return _number(value.number_value)
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return _object(value.struct_value)
        case "list_value":
            return [_value(item) for item in value.list_value.values]
        case _:
            return None


def _number(number: float) -> float | int:
    """Turn 8.0 into 8: a struct has only floating-point numbers, and schemas say `"minimum": 1`."""
    return int(number) if math.isfinite(number) and number.is_integer() else number
