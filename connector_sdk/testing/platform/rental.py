"""A machine that somebody pays for."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Rental(BaseModel):
    """One machine that was rented, and whether it still is."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    tag: str
    """What the submission called itself: the token."""
    machine: str
    price_per_hour: float
    is_held: bool
    made_at: datetime


class MachineKind(BaseModel):
    """One kind of machine that can be rented."""

    id: str
    gpu: str
    gpus: int
    vram_gb: float
    price_per_hour: float
    is_free: bool = True


def catalog() -> dict[str, MachineKind]:
    """Return the machines that there are at the beginning."""
    kinds = (
        MachineKind(id="small", gpu="L4", gpus=1, vram_gb=24, price_per_hour=0.8),
        MachineKind(id="large", gpu="H100", gpus=8, vram_gb=80, price_per_hour=24.0),
    )
    return {kind.id: kind for kind in kinds}
