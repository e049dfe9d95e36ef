"""What is wrong with a request, all of it at once, before anything is done."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from gateway.errors import InvalidRequest, Violation
from peftstudio.gateway.v1 import jobs_service_pb2 as pb
from peftstudio.job.v1.training_config_pb2 import TrainingConfig

MAX_REQUEST_ID_CHARS = 128
MAX_CONFIG_BYTES = 128 * 1024
"""Far more than settings need; data belongs into a dataset."""
MAX_LABELS = 32
MAX_LABEL_CHARS = 100
MAX_JOB_IDS = 1000

_REQUIRED = frozenset({"connection_id", "config", "config.base_model", "config.dataset_path"})
_ALGORITHM = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_QUANTIZATIONS = ("", "int8", "int4", "nf4")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a number of the configuration must be."""

    field: str
    holds: Callable[[float], bool]
    must: str


RULES = (
    Rule("rank", lambda value: value >= 1, "1 or more; 8 or 16 suit most models"),
    Rule("alpha", lambda value: value > 0, "above 0; twice the rank is usual"),
    Rule("dropout", lambda value: 0 <= value < 1, "from 0 and below 1"),
    Rule("learning_rate", lambda value: 0 < value < 10, "above 0 and below 10; 0.0002 is usual"),
    Rule("batch_size", lambda value: value >= 1, "1 or more"),
    Rule("gradient_accumulation_steps", lambda value: value >= 1, "1 or more"),
    Rule("num_epochs", lambda value: 0 < value < 1e6, "above 0"),
    Rule("max_steps", lambda value: value >= 0, "0 (not limited) or more"),
    Rule("warmup_steps", lambda value: value >= 0, "0 or more"),
    Rule("weight_decay", lambda value: 0 <= value < 1e3, "0 or more"),
    Rule("max_seq_length", lambda value: value >= 1, "1 or more tokens"),
    Rule("validation_split", lambda value: 0 <= value < 1, "from 0 and below 1, e.g. 0.1"),
    Rule("checkpoint_steps", lambda value: value >= 0, "0 (only when interrupted) or more"),
    Rule("logging_steps", lambda value: value >= 1, "1 or more"),
)


def config_violations(config: TrainingConfig) -> Iterator[Violation]:
    """Yield what is wrong with a configuration, whatever the platform. NaN breaks every rule."""
    if not config.base_model.strip():
        yield Violation("config.base_model", "is missing; give a hub id like org/name, or a folder")
    if not config.dataset_path.strip():
        yield Violation("config.dataset_path", "is missing; give an uploaded dataset, a path or a URI")
    if config.algorithm and not _ALGORITHM.fullmatch(config.algorithm):
        yield Violation("config.algorithm", f"is {config.algorithm!r}; give a name such as lora")
    if config.quantization not in _QUANTIZATIONS:
        yield Violation("config.quantization", f"is {config.quantization!r}; give int8, int4 or nf4, or leave it out")
    if any(not name.strip() for name in config.target_modules):
        yield Violation("config.target_modules", "has an empty name; leave the list empty for all linear layers")
    given = {descriptor.name: value for descriptor, value in config.ListFields()}
    for rule in RULES:
        value = given.get(rule.field)
        if value is not None and not rule.holds(value):
            yield Violation(f"config.{rule.field}", f"is {value:g}; it must be {rule.must}")


def submit_violations(request: pb.SubmitJobRequest) -> list[Violation]:
    """Return what is wrong with a submission, as far as the gateway alone can tell."""
    if (size := request.config.ByteSize()) > MAX_CONFIG_BYTES:
        text = f"has {size} bytes, more than {MAX_CONFIG_BYTES}; put data into a dataset"
        return [*_submit_violations(request), Violation("config", text)]
    return [*_submit_violations(request), *config_violations(request.config)]


def without(request: pb.SubmitJobRequest, violations: Sequence[Violation]) -> pb.SubmitJobRequest | None:
    """Leave out the fields that cannot be used, so that the platform can check the rest.

    Returns:
        None where what is left makes no job: something that is required cannot be used.
    """
    rest = pb.SubmitJobRequest()
    rest.CopyFrom(request)
    for violation in violations:
        name = violation.field.removeprefix("config.")
        if violation.field in _REQUIRED:
            return None
        if name in rest.config.DESCRIPTOR.fields_by_name:
            rest.config.ClearField(cast("Literal['rank']", name))
    rest.ClearField("limits")
    return rest


def require(**fields: str) -> None:
    """Refuse a request that leaves out what it must name.

    Raises:
        InvalidRequest: with all that is missing.

    """
    missing = [Violation(name, "is missing") for name, value in fields.items() if not value]
    if missing:
        raise InvalidRequest(missing)


def _submit_violations(request: pb.SubmitJobRequest) -> Iterator[Violation]:
    if not request.connection_id:
        yield Violation("connection_id", "is missing; `peftstudio connections list` shows the connections")
    if len(request.request_id) > MAX_REQUEST_ID_CHARS:
        yield Violation("request_id", f"is longer than {MAX_REQUEST_ID_CHARS} characters")
    if len(request.labels) > MAX_LABELS:
        yield Violation("labels", f"are more than {MAX_LABELS}")
    for key, value in request.labels.items():
        if not key or len(key) > MAX_LABEL_CHARS or len(value) > MAX_LABEL_CHARS:
            yield Violation(
                f"labels.{key[:20]}", f"must have a key of 1 to {MAX_LABEL_CHARS} characters and a value no longer"
            )
    limits = request.limits
    for name in ("max_cost_micros", "max_price_micros_per_hour"):
        if getattr(limits, name) < 0:
            yield Violation(f"limits.{name}", "is below 0; leave it out for no limit")
    if limits.HasField("max_duration") and limits.max_duration.seconds <= 0 and limits.max_duration.nanos <= 0:
        yield Violation("limits.max_duration", "is not above 0; leave it out for no limit")
