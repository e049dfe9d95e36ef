"""What a run is asked to do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import json_format

from connector_sdk._start import StartError
from peftstudio.job.v1.training_config_pb2 import TrainingConfig

DEFAULT_CONFIG = {"baseModel": "Qwen/Qwen3-0.6B", "datasetPath": "hf://tatsu-lab/alpaca", "maxSteps": 1}
"""What is submitted where no job file says otherwise: a platform may refuse it, and its jobs are skipped then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A connector that somebody else runs."""

    address: str
    token_file: Path
    ca: Path | None = None
    """Who signed its certificate; None = the system's authorities, or nobody on a loopback address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What connections are opened with."""

    accepted: Mapping[str, str] = field(default_factory=dict)
    rejected: Mapping[str, str] | None = None
    """Credentials that the platform refuses; None = made up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """What is submitted."""

    short: TrainingConfig
    """A job that ends by itself, within seconds."""
    long: TrainingConfig | None = None
    """A job that runs until it is cancelled; None = what needs one is skipped."""
    is_given: bool = False
    """Whether the user chose `short`: a refusal is a failure then."""
    is_wanted: bool = True
    """False = nothing is submitted at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is checked, and with what."""

    command: Sequence[str] = ()
    address: Address | None = None
    """Where the connector is, if it is not to be launched."""
    environment: Mapping[str, str]
    """What a launched one is given."""
    credentials: Credentials
    jobs: Jobs
    has_chaos: bool = False
    only: Sequence[str] = ()
    """Groups or ids to check; empty = all."""


def read_credentials(path: Path | None) -> Credentials:
    """Read `{"api_key": "…"}`, or `{"accepted": {…}, "rejected": {…}}`."""
    if path is None:
        return Credentials()
    given = _object(path)
    both = {"accepted": given} if all(isinstance(value, str) for value in given.values()) else given
    accepted, rejected = both.get("accepted", {}), both.get("rejected")
    for part in (accepted, {} if rejected is None else rejected):
        if not isinstance(part, dict) or not all(isinstance(value, str) for value in part.values()):
            raise StartError(f'{path}: credentials are texts by name: {{"api_key": "…"}}.')
    return Credentials(accepted=dict(accepted), rejected=None if rejected is None else dict(rejected))  # type: ignore[call-overload]


def read_jobs(path: Path | None, *, is_wanted: bool = True) -> Jobs:
    """Read a TrainingConfig in JSON, or `{"short": {…}, "long": {…}}`."""
    if path is None:
        return Jobs(short=to_config(DEFAULT_CONFIG, "the default job"), is_wanted=is_wanted)
    given = _object(path)
    both = given if "short" in given or "long" in given else {"short": given}
    long = both.get("long")
    return Jobs(
        short=to_config(both.get("short", DEFAULT_CONFIG), f"{path}: short"),
        long=None if long is None else to_config(long, f"{path}: long"),
        is_given="short" in both,
        is_wanted=is_wanted,
    )


def to_config(given: object, place: str) -> TrainingConfig:
    """Read a TrainingConfig in protobuf's JSON, with either spelling of its fields."""
    try:
        return json_format.ParseDict(given, TrainingConfig())  # type: ignore[arg-type]
    except json_format.ParseError as error:
        raise StartError(f"{place} is no TrainingConfig: {error}") from error


def _object(path: Path) -> dict[str, object]:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StartError(f"{path} cannot be read: {error}") from error
    if not isinstance(given, dict):
        raise StartError(f"{path} must have a JSON object.")
    return given
