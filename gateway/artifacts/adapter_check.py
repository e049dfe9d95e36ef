"""Whether an adapter is the one that was asked for, by its `adapter_config.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from gateway.jobs.model import JobConfig

ADAPTER_CONFIG = "adapter_config.json"
"""What PEFT calls the file beside an adapter's weights."""

MOST_BYTES = 1024 * 1024
"""Far more than any of them has."""

_NUMBERS = {"rank": "r", "alpha": "lora_alpha", "dropout": "lora_dropout"}
"""Fields of a TrainingConfig, and what PEFT calls them."""


def differences(config: JobConfig, told: bytes) -> list[str]:
    """Say in which ways an adapter's own configuration differs from what was asked for; only what was said counts."""
    try:
        found = json.loads(told)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return [f"{ADAPTER_CONFIG} is not a JSON object"]
    return list(_differences(config, json.loads(config.document), found))


def _differences(config: JobConfig, asked: Mapping[str, object], found: Mapping[str, object]) -> Iterator[str]:
    for field, name in _NUMBERS.items():
        wanted, has = asked.get(field), found.get(name)
        if isinstance(wanted, int | float) and isinstance(has, int | float) and abs(wanted - has) > 1e-6:
            yield f"the adapter has {name} = {has:g}, and {field} = {wanted:g} was asked for"
    base = found.get("base_model_name_or_path")
    # A platform may have the model in a folder of its own, under the same name.
    if isinstance(base, str) and base and _name(base) != _name(config.base_model):
        yield f"the adapter is for {base!r}, and {config.base_model!r} was asked for"
    modules, has_modules = asked.get("target_modules"), found.get("target_modules")
    if isinstance(modules, list) and isinstance(has_modules, list) and set(modules) != set(map(str, has_modules)):
        has_words = ", ".join(sorted(map(str, has_modules)))
        yield f"the adapter has modules {has_words}, and {', '.join(sorted(modules))} were asked for"


def _name(model: str) -> str:
    return PurePosixPath(model.rstrip("/")).name.casefold()
