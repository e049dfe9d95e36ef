"""What a schema of credentials asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

Schema = Mapping[str, object]


def plain(struct: Struct) -> Schema:
    """Give a schema as plain values."""
    return cast("Schema", json_format.MessageToDict(struct))


def properties_of(schema: Schema) -> Mapping[str, Schema]:
    """Give its properties, where they are well-formed."""
    found = schema.get("properties")
    inner = found if isinstance(found, dict) else {}
    return {str(name): part for name, part in inner.items() if isinstance(part, dict)}


def required_names(struct: Struct) -> list[str]:
    """Name the credentials that are required."""
    found = plain(struct).get("required")
    return [str(name) for name in found] if isinstance(found, list) else []


def secret_names(struct: Struct) -> list[str]:
    """Name the credentials that are marked as secret."""
    return [name for name, part in properties_of(plain(struct)).items() if part.get("secret") is True]


def secrets_in(struct: Struct, credentials: Mapping[str, str]) -> dict[str, str]:
    """Give those of some credentials that are secret: all but the ones that are described, and not marked."""
    properties = properties_of(plain(struct))
    return {
        name: value
        for name, value in credentials.items()
        if name not in properties or properties[name].get("secret") is True
    }
