"""Find everything in a configuration that this machine cannot train, at once and before a job is made."""

from __future__ import annotations

import re
from pathlib import Path

from connector_sdk.models import FieldViolation, TrainingConfig
from connectors.local.base_model import problem_with_model
from connectors.trainer.errors import TrainerError
from connectors.trainer.preflight import check_job
from connectors.trainer.spec import JobSpec

HARMLESS = TrainingConfig(base_model="none", dataset_path="hf://none")
"""A configuration that passes every check that can be made without the network."""

_FIELD = re.compile(rf"(?:^|; )({'|'.join(TrainingConfig.model_fields)}): ")


def check_config(config: TrainingConfig, work_dir: Path) -> list[FieldViolation]:
    """Give every violation. Reads the whole dataset and may ask the hub: blocks for seconds."""
    found: dict[str, str] = {}
    # The trainer stops at the first kind of problem, so each one found is put right and the rest checked again.
    while (problems := _problems(config, work_dir)) and not problems.keys() <= found.keys():
        found |= problems
        config = config.model_copy(update={field: getattr(HARMLESS, field) for field in problems})
    if "base_model" not in found and (problem := problem_with_model(config.base_model)):
        found["base_model"] = problem
    return [FieldViolation(field=f"config.{field}", description=words) for field, words in found.items()]


def _problems(config: TrainingConfig, work_dir: Path) -> dict[str, str]:
    """Let the trainer check, and split its sentence `field: what is wrong; field: …` by field."""
    nowhere = work_dir / "none"
    spec = JobSpec(job_id="check", config=config, work_dir=nowhere, output_dir=nowhere, records_path=nowhere)
    try:
        check_job(spec)
    except TrainerError as error:
        _, *parts = _FIELD.split(str(error))
        return dict(zip(parts[::2], parts[1::2], strict=True)) or {"options": str(error)}
    return {}
