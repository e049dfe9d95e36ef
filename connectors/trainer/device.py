"""The processor that trains, and the precision that suits it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

from connectors.trainer.preflight import gpu_to_use


@dataclass(frozen=True, slots=True)
class Device:
    """What the machine trains on."""

    type: str
    """`cuda`, `mps` or `cpu`, as torch says it."""
    name: str
    bf16: bool
    """Whether mixed precision in bfloat16 is both possible and worth it."""


def choose_device() -> Device:
    """Take CUDA, else Apple's GPU, else the CPU. Imports torch, which takes seconds."""
    visible = gpu_to_use(os.environ.get("CUDA_VISIBLE_DEVICES"))
    if visible is not None and "WORLD_SIZE" not in os.environ:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible  # torch reads it when CUDA is first used
    import torch

    if torch.cuda.is_available():
        return Device("cuda", torch.cuda.get_device_name(0), torch.cuda.is_bf16_supported())
    if torch.backends.mps.is_available():
        return Device("mps", "Apple GPU", False)
    return Device("cpu", f"{platform.machine()}, {torch.get_num_threads()} threads", False)
