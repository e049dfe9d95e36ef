"""Refuse, in milliseconds and by name, what this program or this machine cannot do; torch is not imported here."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from connector_sdk.models import ALGORITHMS, TrainingConfig
from connectors.trainer.dataset import check_dataset, locate_dataset
from connectors.trainer.errors import BadData, ConfigRejected, HardwareUnavailable, ModelNotFound
from connectors.trainer.spec import JobSpec

SCHEDULERS = (
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
)
"""Schedules of transformers that need no further arguments."""

_CUDA_TRACES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")  # Linux, WSL and ROCm


def check_job(spec: JobSpec) -> None:
    """Check everything that can be known before a library is loaded.

    Raises:
        TrainerError: the kind that names what to cure.

    """
    _check_config(spec.config)
    _check_quantization(spec.config)
    _check_output(spec)
    _check_model_name(spec.config.base_model)
    _check_data(spec.config.dataset_path)


def _check_config(config: TrainingConfig) -> None:
    problems = []
    if config.algorithm not in ALGORITHMS:
        problems.append(f"algorithm: {config.algorithm} is unknown; use one of {', '.join(ALGORITHMS)}")
    if config.lr_scheduler not in SCHEDULERS:
        problems.append(f"lr_scheduler: {config.lr_scheduler} is unknown; use one of {', '.join(SCHEDULERS)}")
    if "lm_head" in config.target_modules:
        problems.append("target_modules: lm_head cannot get an adapter; leave it out")
    if config.algorithm == "qlora" and config.quantization == "int8":
        problems.append("quantization: qlora is 4-bit; leave quantization out or set it to nf4")
    if config.algorithm == "pissa" and config.quantization is not None:
        problems.append("quantization: pissa changes the base weights and needs them unquantized")
    if problems:
        raise ConfigRejected("; ".join(problems))


def _check_quantization(config: TrainingConfig) -> None:
    wanted = "algorithm: qlora" if config.algorithm == "qlora" else f"quantization: {config.quantization}"
    if config.algorithm != "qlora" and config.quantization is None:
        return
    if importlib.util.find_spec("bitsandbytes") is None:
        raise HardwareUnavailable(f"{wanted} needs the package bitsandbytes, which is not installed; use lora")
    if not _may_have_cuda():
        raise HardwareUnavailable(f"{wanted} needs a CUDA GPU, and this machine has none; use lora")


def _may_have_cuda() -> bool:
    return any(Path(trace).exists() for trace in _CUDA_TRACES) or shutil.which("nvidia-smi") is not None


def _check_output(spec: JobSpec) -> None:
    folder = spec.output_dir
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not is_complete(folder)):
        raise ConfigRejected(f"output_dir: {folder} holds other files; name a folder that does not exist yet")
    if is_complete(folder) and not spec.resume:
        raise ConfigRejected(f"output_dir: {folder} already holds artifacts; name a folder that does not exist yet")


def is_complete(output_dir: Path) -> bool:
    """Tell whether the artifacts of a finished training are there."""
    return (output_dir / "manifest.json").is_file()


def is_local_model(base_model: str) -> bool:
    """Tell whether a base model is given as a folder rather than as a hub id."""
    # `Path.is_dir` raises for names that no file can have.
    return os.path.isdir(Path(base_model).expanduser())


def _check_model_name(base_model: str) -> None:
    if is_local_model(base_model):
        folder = Path(base_model).expanduser()
        if not (folder / "config.json").is_file():
            raise ModelNotFound(f"base_model: {base_model} holds no config.json, so it is not a model folder")
        return
    looks_like_path = base_model.startswith((".", "/", "~")) or "\\" in base_model or base_model.count("/") > 1
    if looks_like_path:
        raise ModelNotFound(f"base_model: {base_model} not found: there is no such folder on the machine that trains")


def _check_data(uri: str) -> None:
    source = locate_dataset(uri)
    if not isinstance(source, Path):
        return
    problems = check_dataset(source)
    if problems:
        raise BadData("dataset_path: " + "; ".join(problems))


def gpu_to_use(visible: str | None, platform: str = sys.platform) -> str | None:
    """Choose the value of CUDA_VISIBLE_DEVICES: one process trains on one GPU. None = leave it alone."""
    if platform == "darwin" or visible == "":
        return None
    return visible.split(",")[0] if visible else "0"
