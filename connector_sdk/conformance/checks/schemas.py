"""The schemas of Describe are JSON Schema that clients can make forms of."""

from __future__ import annotations

import re
from typing import cast

from connector_sdk.conformance.check import SkippedCheck, advise, check, expect
from connector_sdk.conformance.forms import Schema, plain, properties_of
from connector_sdk.conformance.trial import Trial

TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
SECRET_WORDS = re.compile(r"key|token|secret|password", re.IGNORECASE)


@check(
    "schemas.credentials", remedy='Give {"type": "object", "properties": {…}, "required": […]} as JSON Schema has it.'
)
async def credentials(trial: Trial) -> None:
    """The schema of the credentials is JSON Schema of an object."""
    _expect_schema(await _credentials(trial), "credentials_schema")


@check("schemas.texts", remedy='Credentials travel as texts: "type": "string".')
async def texts(trial: Trial) -> None:
    """Every credential is a text."""
    for name, schema in properties_of(await _credentials(trial)).items():
        expect(schema.get("type", "string") == "string", f"{name} has type {schema.get('type')!r}")


@check("schemas.required", remedy="Describe every required credential under properties.")
async def required(trial: Trial) -> None:
    """Every credential that is required is described."""
    schema = await _credentials(trial)
    names = cast("list[str]", schema.get("required", []))
    missing = sorted(set(names) - set(properties_of(schema)))
    expect(not missing, f"{', '.join(missing)} is required, and not described")


@check("schemas.secrets", remedy='Mark keys and passwords with "secret": true, so that no terminal shows them.')
async def secrets(trial: Trial) -> None:
    """Credentials that are called keys, tokens or passwords are marked as secret."""
    found = properties_of(await _credentials(trial)).items()
    open_ones = [name for name, schema in found if SECRET_WORDS.search(name) and schema.get("secret") is not True]
    advise(not open_ones, f"{', '.join(open_ones)} is not marked")


@check("schemas.options", remedy="Describe `TrainingConfig.options` as JSON Schema of an object, or leave it out.")
async def options(trial: Trial) -> None:
    """The schema of the options is JSON Schema of an object."""
    said = await trial.description()
    if not said.HasField("options_schema"):
        raise SkippedCheck("it tells no schema of options")
    _expect_schema(plain(said.options_schema), "options_schema")


async def _credentials(trial: Trial) -> Schema:
    said = await trial.description()
    if not said.credentials_schema.fields:
        raise SkippedCheck("it takes no credentials")
    return plain(said.credentials_schema)


def _expect_schema(schema: Schema, place: str) -> None:
    expect(schema.get("type") == "object", f'{place} has type {schema.get("type")!r}, not "object"')
    _expect_part(schema, place)


def _expect_part(schema: object, place: str) -> None:
    if isinstance(schema, bool):
        return
    expect(isinstance(schema, dict), f"{place} is no schema: {schema!r:.80}")
    part = cast("Schema", schema)
    types = part.get("type", [])
    for one in types if isinstance(types, list) else [types]:
        expect(one in TYPES, f"{place} has type {one!r}, which JSON Schema does not know")
    names = part.get("required", [])
    are_texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    expect(are_texts, f"{place}: required is no list of names: {names!r:.80}")
    expect(isinstance(part.get("enum", [0]), list) and part.get("enum") != [], f"{place}: enum is no list of values")
    properties = part.get("properties", {})
    expect(isinstance(properties, dict), f"{place}: properties is no object")
    for name, inner in cast("Schema", properties).items():
        _expect_part(inner, f"{place}.{name}")
    for word in ("items", "additionalProperties"):
        if word in part:
            _expect_part(part[word], f"{place}.{word}")
