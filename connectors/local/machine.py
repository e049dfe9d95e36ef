"""What this machine has to train on, found without importing torch."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from pathlib import Path

import psutil

from connector_sdk.models import Resource, ResourceType

_QUERY = ("nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits")
_QUERY_SECONDS = 5.0  # a driver in trouble lets nvidia-smi hang
_GB = 1024**3


async def find_resources() -> list[Resource]:
    """List the CPU and every GPU of this machine, GPUs first."""
    gpus = await _nvidia_gpus()
    apple = [_apple_gpu()] if sys.platform == "darwin" and platform.machine() == "arm64" else []
    return [*gpus, *apple, cpu_resource()]


def cpu_resource() -> Resource:
    """Describe the processor and the main memory."""
    name = _cpu_name()
    return Resource(id="cpu", name=name, type=ResourceType.CPU, cpu_cores=_cores(), ram_gb=_ram_gb())


def _apple_gpu() -> Resource:
    # The GPU shares the main memory.
    return Resource(
        id="mps",
        name=f"{_cpu_name()} GPU",
        gpu_type="Apple",
        gpu_count=1,
        vram_gb=_ram_gb(),
        cpu_cores=_cores(),
        ram_gb=_ram_gb(),
    )


async def _nvidia_gpus() -> list[Resource]:
    try:
        process = await asyncio.create_subprocess_exec(
            *_QUERY, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return []
    try:
        async with asyncio.timeout(_QUERY_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        return []
    return parse_gpus(output.decode(errors="replace")) if process.returncode == 0 else []


def parse_gpus(output: str) -> list[Resource]:
    """Read the table that nvidia-smi prints; a line of another form is left out."""
    found = []
    for line in output.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 3 and fields[0].isdigit() and fields[2].isdigit():
            found.append(_gpu(int(fields[0]), fields[1], int(fields[2])))
    return found


def _gpu(index: int, name: str, memory_mib: int) -> Resource:
    return Resource(
        id=f"gpu-{index}",
        name=name,
        gpu_type=name.removeprefix("NVIDIA ").strip(),
        gpu_count=1,
        vram_gb=round(memory_mib / 1024, 1),
        cpu_cores=_cores(),
        ram_gb=_ram_gb(),
    )


def _cores() -> int:
    return os.cpu_count() or 1


def _ram_gb() -> float:
    return round(psutil.virtual_memory().total / _GB, 1)


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
