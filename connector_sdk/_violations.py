"""Turn the many ways of saying that a configuration is wrong into field violations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from connector_sdk.models import FieldViolation


def violations_of(verdict: object) -> list[FieldViolation]:
    """Read the verdict of an author's `validate_config`: None, a bool, words, a list of them, or a ValueError."""
    if verdict is None or verdict is True:
        return []
    if verdict is False:
        return [FieldViolation(field="", description="The connector does not accept this configuration.")]
    if isinstance(verdict, FieldViolation):
        return [verdict]
    if isinstance(verdict, ValidationError):
        return [_of_pydantic(tuple(item["loc"]), item["msg"]) for item in verdict.errors(include_url=False)]
    if isinstance(verdict, Mapping):
        return [FieldViolation(field=str(key), description=str(value)) for key, value in verdict.items()]
    if isinstance(verdict, tuple) and len(verdict) == 2 and isinstance(verdict[0], bool):
        return [] if verdict[0] else violations_of(verdict[1] or False)
    if isinstance(verdict, Iterable) and not isinstance(verdict, str):
        return [violation for item in verdict for violation in violations_of(item)]
    return [FieldViolation(field="", description=str(verdict))] if str(verdict) else []


def _of_pydantic(location: tuple[int | str, ...], message: str) -> FieldViolation:
    return FieldViolation(field=".".join(str(part) for part in location), description=message)
