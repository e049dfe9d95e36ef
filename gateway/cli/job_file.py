"""What to submit, from a YAML file and from flags; a flag wins over the file.

A file has the keys connection, resource_id, labels, limits and config, or is nothing but a training configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.durations import parse_duration
from gateway.cli.exit_codes import ExitCode
from gateway.cli.running import CommandError

if TYPE_CHECKING:
    from peftstudio.gateway.v1.jobs_service_pb2 import JobLimits

MICROS = 1_000_000
_KEYS = frozenset({"connection", "resource_id", "labels", "limits", "config"})
_LIMITS = frozenset({"max_cost", "max_duration", "max_price_per_hour"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A job to submit."""

    connection: str = ""
    resource_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, object] = field(default_factory=dict)
    """max_cost and max_price_per_hour in the price's currency, max_duration as a length of time."""
    config: Mapping[str, object] = field(default_factory=dict)
    folder: Path = Path()
    """Where a relative path of a dataset is looked for."""

    def merged(self, other: Order) -> Order:
        """Return this order with all that the other one sets."""
        return replace(
            self,
            connection=other.connection or self.connection,
            resource_id=other.resource_id or self.resource_id,
            labels={**self.labels, **other.labels},
            limits={**self.limits, **other.limits},
            config={**self.config, **other.config},
        )


def read_order(path: Path) -> Order:
    """Read a YAML file."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CommandError(f"{path} cannot be read: {error}", ExitCode.USAGE) from error

    values = _mapping(content, str(path))
    if not _KEYS & values.keys():
        return Order(config=values, folder=path.parent)

    unknown = sorted(values.keys() - _KEYS)
    if unknown:
        raise CommandError(
            f"{path}: there is no key {unknown[0]!r} beside {', '.join(sorted(_KEYS))}", ExitCode.REFUSED
        )

    labels = _mapping(values.get("labels"), f"{path}: labels")
    return Order(
        connection=str(values.get("connection") or ""),
        resource_id=str(values.get("resource_id") or ""),
        labels={key: str(value) for key, value in labels.items()},
        limits=_mapping(values.get("limits"), f"{path}: limits"),
        config=_mapping(values.get("config"), f"{path}: config"),
        folder=path.parent,
    )


def parse_settings(settings: list[str]) -> dict[str, object]:
    """Read `--set key=value`; the value is YAML, and `options.key` sets one of the platform's options."""
    import yaml

    config: dict[str, object] = {}
    options: dict[str, object] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not key or not equals:
            raise CommandError(f"a setting is written KEY=VALUE, not {setting!r}", ExitCode.USAGE)

        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise CommandError(f"the value of {key} cannot be read: {error}", ExitCode.USAGE) from error

        if key.startswith("options."):
            options[key.removeprefix("options.")] = value
        else:
            config[key] = value

    return {**config, "options": options} if options else config


def limits_message(limits: Mapping[str, object]) -> JobLimits:
    """Return limits as the gateway wants them."""
    from peftstudio.gateway.v1.jobs_service_pb2 import JobLimits

    unknown = sorted(limits.keys() - _LIMITS)
    if unknown:
        known = ", ".join(sorted(_LIMITS))
        raise CommandError(f"limits.{unknown[0]}: there is no such limit; the limits are {known}", ExitCode.REFUSED)

    message = JobLimits(
        max_cost_micros=_micros(limits, "max_cost"),
        max_price_micros_per_hour=_micros(limits, "max_price_per_hour"),
    )
    if limits.get("max_duration"):
        message.max_duration.FromTimedelta(parse_duration(str(limits["max_duration"])))

    return message


def _micros(limits: Mapping[str, object], name: str) -> int:
    try:
        amount = round(float(str(limits.get(name) or 0)) * MICROS)
    except (ValueError, OverflowError):
        raise CommandError(f"limits.{name}: {limits[name]!r} is not an amount", ExitCode.REFUSED) from None

    if amount < 0:
        raise CommandError(f"limits.{name}: must not be negative", ExitCode.REFUSED)

    return amount


def _mapping(value: object, what: str) -> dict[str, object]:
    if value is None:
        return {}

    if not isinstance(value, dict):
        raise CommandError(f"{what} must be a mapping of names to values", ExitCode.REFUSED)

    return {str(key): item for key, item in value.items()}
