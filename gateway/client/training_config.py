"""A training configuration from what people write: a mapping of field names to values."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from google.protobuf import json_format

from gateway.client.errors import InvalidConfigError, Violation
from peftstudio.job.v1.training_config_pb2 import TrainingConfig


def training_config(config: TrainingConfig | Mapping[str, object]) -> TrainingConfig:
    """Return the configuration as a message.

    Raises:
        InvalidConfigError: Keys are unknown or values have the wrong type; all of them are named.
    """
    if isinstance(config, TrainingConfig):
        return config

    message, violations = TrainingConfig(), []
    for name, value in config.items():
        problem = _set(message, name, value)
        if problem:
            violations.append(Violation(f"config.{name}", problem))

    if violations:
        raise InvalidConfigError(violations)

    return message


def _set(message: TrainingConfig, name: str, value: object) -> str:
    """Set one field and return what is wrong with it; empty = nothing."""
    known = [field.name for field in TrainingConfig.DESCRIPTOR.fields]
    if name not in known:
        close = get_close_matches(str(name), known, n=1)
        return f"there is no such field{f'; did you mean {close[0]}?' if close else ''}"

    try:
        json_format.ParseDict({name: value}, message)
    except (json_format.ParseError, TypeError, ValueError, AttributeError):
        return f"{value!r} is not {_expected(name)}"

    return ""


def _expected(name: str) -> str:
    field = TrainingConfig.DESCRIPTOR.fields_by_name[name]
    if field.message_type is not None:
        return "a mapping"

    if field.is_repeated:
        return "a list of texts"

    names = {
        field.CPPTYPE_INT32: "a whole number",
        field.CPPTYPE_INT64: "a whole number",
        field.CPPTYPE_DOUBLE: "a number",
        field.CPPTYPE_STRING: "a text",
    }
    return names.get(field.cpp_type, "a value of this field's type")
