"""The values an author's connector receives and returns, as pydantic models.

Field names are those of the connector guide. Where the application's own variant of the interface uses
another name for the same thing, that name is accepted on input and readable as a property.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]

ALGORITHMS = ("lora", "rslora", "dora", "pissa", "qlora")
"""The algorithms that the training program of this project knows; a connector may offer others."""


class JobStatus(StrEnum):
    """The guide's words for the status of a job. Members compare equal to plain strings."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ResourceType(StrEnum):
    """The kind of processor that makes a resource worth its price."""

    GPU = "gpu"
    CPU = "cpu"
    TPU = "tpu"


class TrainingConfig(BaseModel):
    """Say what to train, on which data, and how. Values travel as data and are never pasted into code."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    base_model: str = Field(min_length=1)
    """A hub id (`org/name`) or a folder that the machine which trains can see."""
    dataset_path: str = Field(min_length=1)
    """A path or URI of the training data: `file://`, `hf://`, `https://`, or a plain path."""
    algorithm: str = "lora"
    """One of `ALGORITHMS`, or another name that the connector declares."""
    rank: Positive = 8
    """Rank of the adapter's matrices."""
    alpha: Annotated[float, Field(gt=0)] = 16
    """Scaling of the adapter: its output is multiplied by alpha / rank (alpha / sqrt(rank) for rslora)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout probability on the adapter's input."""
    target_modules: list[str] = Field(default_factory=list)
    """Names of the layers that get an adapter; empty = all linear layers."""
    quantization: Literal["int8", "int4", "nf4"] | None = None
    """Precision in which the base model is loaded; None = as stored."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    batch_size: Positive = 4
    """Examples per device and step."""
    gradient_accumulation_steps: Positive = 1
    num_epochs: Annotated[float, Field(gt=0)] = 3
    max_steps: Annotated[int, Field(ge=0)] = 0
    """Optimizer steps after which training ends; 0 = as many as num_epochs gives."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    lr_scheduler: str = "linear"
    """Name of the learning-rate schedule, as transformers spells it."""
    max_seq_length: Positive = 512
    """Tokens after which an example is cut."""
    validation_split: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the examples held out to measure eval_loss; 0 = none."""
    checkpoint_steps: Annotated[int, Field(ge=0)] = 0
    """Optimizer steps between checkpoints; 0 = only when interrupted."""
    logging_steps: Positive = 1
    """Optimizer steps between two metric points."""
    seed: int = 42
    model_source: str = "huggingface"
    provider: str | None = None
    resource_id: str | None = None
    experiment_tracker: str | None = None
    project_name: str | None = None
    output_dir: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    """Platform options, checked by the connector against the JSON Schema it declares."""


class DeploymentConfig(BaseModel):
    """Say which model to put behind an endpoint, and how."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    """An id of the platform's registry, as `upload_artifact` gave it, or one of a hub."""
    base_model: str = ""
    """The model that an adapter belongs to; empty = not said."""
    name: str = ""
    """Short and DNS-safe; put it where the platform shows it."""
    resource_id: str = ""
    """The machine; empty = the platform's choice."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Platform options."""


class Resource(BaseModel):
    """Describe one kind of machine that can be rented or used."""

    id: str
    name: str
    gpu_type: str | None = None
    gpu_count: int = 0
    vram_gb: float = 0
    """Memory per GPU, in GB."""
    available: bool = True
    type: ResourceType = ResourceType.GPU
    cpu_cores: int = 0
    ram_gb: float = 0
    region: str | None = None


class PricingInfo(BaseModel):
    """State the price of one resource. `hourly_rate = None` means that the platform does not charge for it."""

    model_config = ConfigDict(populate_by_name=True)

    hourly_rate: Annotated[float, Field(ge=0)] | None = Field(
        default=None, validation_alias=AliasChoices("hourly_rate", "price_per_hour")
    )
    currency: str = "USD"
    billing_increment: int = Field(
        default=60, validation_alias=AliasChoices("billing_increment", "billing_increment_seconds")
    )
    """Seconds by which usage is rounded up."""
    resource_id: str = ""
    minimum_charge_seconds: int = 0
    spot_available: bool = False
    spot_price_per_hour: float | None = None
    as_of: datetime | None = None
    """When the platform said so; None = now."""
    source: Literal["live", "catalog", "static"] = "live"

    @property
    def price_per_hour(self) -> float | None:
        """The application's own name for `hourly_rate`."""
        return self.hourly_rate

    @property
    def billing_increment_seconds(self) -> int:
        """The application's own name for `billing_increment`."""
        return self.billing_increment


class Progress(BaseModel):
    """Tell how far a job is."""

    step: int = 0
    total_steps: int = 0
    estimated_remaining_seconds: float | None = None


class JobObservation(BaseModel):
    """Report more about a job than its status; `get_job_status` may return this instead of a string."""

    status: JobStatus
    raw_state: str = ""
    """The platform's own word for the state."""
    phase: Literal["", "queued", "provisioning", "running", "finalizing", "pausing", "resuming"] = ""
    """A finer state within `status`; empty where the platform does not tell."""
    reason: str = ""
    """A `JobReason` without its prefix, e.g. `OUT_OF_MEMORY`; empty where the platform does not tell."""
    message: str = ""
    exit_code: int | None = None
    attempt: int = 1
    progress: Progress | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    resource_held: bool | None = None
    """Whether something that costs money is still held; None = derived from the status."""


class ListedJob(BaseModel):
    """One job in the platform's own list; `list_jobs` tells of those that were submitted under a token."""

    job_id: str
    """The platform's id."""
    submission_token: str
    """As `submit` was given it."""
    status: str | JobStatus | JobObservation
    created_at: datetime | None = None
    resource_id: str = ""
    price: PricingInfo | None = None
    """What it costs; None = the price of its resource."""


class LogRecord(BaseModel):
    """One line of a job's log, with what a platform that knows more than the text can tell."""

    text: str
    stream: Literal["stdout", "stderr", "system"] = "stdout"
    time: datetime | None = None
    level: str = ""
    rank: int = 0
    attempt: int = 1
    cursor: str = ""
    """Opaque: `stream_logs_from(job_id, cursor)` continues behind this line."""


class MetricPoint(BaseModel):
    """One value of one metric. NaN and infinities are values like any other."""

    name: str
    value: float
    step: int = 0
    epoch: float = 0
    time: datetime | None = None
    attempt: int = 1


class ArtifactInfo(BaseModel):
    """Describe one file that a job left."""

    id: str
    path: str
    """Relative, with forward slashes."""
    kind: Literal["adapter", "checkpoint", "merged", "log", "other"] = "adapter"
    size: int | None = None
    """Bytes; None where the platform does not tell."""
    sha256: str = ""
    """Lower-case hex; empty where the platform does not tell."""
    etag: str = ""


class ModelInfo(BaseModel):
    """Describe one model of a registry."""

    id: str
    name: str = ""
    author: str = ""
    downloads: int = 0
    likes: int = 0
    tags: list[str] = Field(default_factory=list)
    metadata: Mapping[str, Any] = Field(default_factory=dict)


class FieldViolation(BaseModel):
    """Name one field of a request that cannot be used, and say why and what to do."""

    field: str
    description: str


class SubmitRequest(BaseModel):
    """Everything that is known about a job when it is submitted; `submit_job` gets its `config`."""

    job_id: str
    """The gateway's id of the job."""
    submission_token: str
    """Short and DNS-safe; put it where the platform lets the job be found again or de-duplicated."""
    config: TrainingConfig
    resource_id: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
