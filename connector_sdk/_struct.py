"""Carry JSON in `google.protobuf.Struct`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from google.protobuf import struct_pb2
from pydantic import JsonValue


def to_struct(value: Mapping[str, object]) -> struct_pb2.Struct:
    """Write a mapping; what JSON does not know (dates, paths) becomes text."""
    struct = struct_pb2.Struct()
    struct.update(json.loads(json.dumps(value, default=str)))
    return struct


def from_struct(struct: struct_pb2.Struct) -> dict[str, JsonValue]:
    """Read a mapping; whole numbers become ints again."""
    plain: dict[str, JsonValue] = {key: _plain(value) for key, value in struct.fields.items()}
    return plain


def _plain(value: struct_pb2.Value) -> JsonValue:
    match value.WhichOneof("kind"):
        case "struct_value":
            return from_struct(value.struct_value)
        case "list_value":
            return [_plain(item) for item in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None
