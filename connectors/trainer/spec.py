"""The job spec: everything that one run of the training program is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connector_sdk.models import TrainingConfig
from connectors.trainer.errors import ConfigRejected


class JobSpec(BaseModel):
    """Say what to train and where the results go. Paths are of the machine that trains."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    job_id: str = Field(min_length=1)
    config: TrainingConfig
    work_dir: Path
    """Folder of the job; `checkpoints/` lives here and may be resumed from."""
    output_dir: Path
    """Folder of the final artifacts: absent until the training succeeded, whole from then on."""
    records_path: Path
    """JSON Lines file to which metrics, progress and the result are appended."""
    attempt: Annotated[int, Field(ge=1)] = 1
    resume: bool = False
    """Continue from the newest complete checkpoint, if there is one."""


def load_spec(path: Path) -> JobSpec:
    """Read a spec file.

    Raises:
        ConfigRejected: if the file is missing or a field cannot be used; all fields are named at once.

    """
    try:
        return JobSpec.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigRejected(f"cannot read the job spec {path}: {error.strerror}") from error
    except ValidationError as error:
        raise ConfigRejected(f"the job spec {path.name} is refused: {_violations(error)}") from error


def _violations(error: ValidationError) -> str:
    parts = []
    for violation in error.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(part) for part in violation["loc"])
        parts.append(f"{field}: {violation['msg']}" if field else str(violation["msg"]))
    return "; ".join(parts)
