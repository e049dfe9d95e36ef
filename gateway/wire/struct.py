"""JSON documents, which the gateway keeps as text and the wire as `Struct`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

JSON = None | bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"]


def canonical(value: JSON) -> str:
    """Write JSON so that equal documents are equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def json_from_struct(struct: Struct) -> str:
    """Return the canonical JSON of a struct.

    Raises:
        ValueError: It holds a number that JSON has not: NaN or an infinity.

    """
    try:
        return canonical(_whole(json_format.MessageToDict(struct)))
    except json_format.Error as error:
        raise ValueError(str(error)) from error


def struct_from_json(text: str) -> Struct:
    """Return the struct of a JSON object.

    Raises:
        ValueError: The text is not a JSON object.

    """
    try:
        return json_format.Parse(text, Struct())
    except json_format.ParseError as error:
        raise ValueError(str(error)) from error


def _whole(value: JSON) -> JSON:
    """Turn 8.0 into 8: a struct has only floating-point numbers, and schemas say `"minimum": 1`."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_whole(item) for item in value]
    return value
