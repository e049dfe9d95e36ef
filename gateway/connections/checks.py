"""Checks of a Connect request that need no platform: the name, and the credentials against their schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from gateway.errors import GatewayError, Reason, Violation

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_ID = re.compile(r"conn-[0-9a-z]{16}")


def name_violations(name: str) -> list[Violation]:
    """Say what is wrong with a connection's name."""
    if not _NAME.fullmatch(name):
        rule = "must start with a lower-case letter or digit and have only those, `.`, `_` and `-`, 100 at most"
        return [Violation("name", rule)]
    if _ID.fullmatch(name):
        return [Violation("name", "looks like the id of a connection; choose another")]
    return []


def credential_violations(schema_json: str, credentials: Mapping[str, str]) -> list[Violation]:
    """Say what is wrong with credentials, without a word about their values.

    Raises:
        GatewayError: The connector's schema is no JSON Schema of an object.
    """
    schema = _schema(schema_json)
    properties = _object(schema.get("properties", {}))
    required = schema.get("required", [])
    if not isinstance(required, list):
        raise _broken()
    found = [
        _violation(name, "is required" + _hint(properties, name))
        for name in map(str, required)
        if not credentials.get(name)
    ]
    # A schema that lists what there is means it, unless it says otherwise.
    if properties and not schema.get("additionalProperties", False):
        known = ", ".join(sorted(properties))
        found += [
            _violation(name, f"is not known to the connector; it takes {known}")
            for name in sorted(credentials.keys() - properties.keys())
        ]
    return found + _mismatches(properties, credentials)


def _mismatches(properties: Mapping[str, object], credentials: Mapping[str, str]) -> list[Violation]:
    found = []
    for name, value in credentials.items():
        choices = _object(properties.get(name, {})).get("enum")
        if value and isinstance(choices, list) and value not in choices:
            found.append(_violation(name, f"must be one of {', '.join(map(str, choices))}"))
    return found


def _violation(name: str, description: str) -> Violation:
    return Violation(f"credentials.{name}", description)


def _hint(properties: Mapping[str, object], name: str) -> str:
    described = _object(properties.get(name, {}))
    text = described.get("description") or described.get("title") or ""
    return f": {text}" if text else ""


def _schema(text: str) -> Mapping[str, object]:
    try:
        return _object(json.loads(text))
    except ValueError as error:
        raise _broken() from error


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _broken()
    return value


def _broken() -> GatewayError:
    return GatewayError(
        "the connector's credentials schema is not a JSON Schema of an object; update the connector",
        reason=Reason.CONNECTOR_BUG,
    )
