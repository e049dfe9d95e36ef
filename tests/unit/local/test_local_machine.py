from __future__ import annotations

import pytest

from connector_sdk.models import ResourceType
from connectors.local.machine import find_resources, parse_gpus

pytestmark = pytest.mark.unit


def test_gpus_are_read_from_the_driver_s_table() -> None:
    [gpu] = parse_gpus("0, NVIDIA A100-SXM4-80GB, 81920\nNo devices were found\n")
    assert (gpu.id, gpu.gpu_type, gpu.gpu_count, gpu.vram_gb) == ("gpu-0", "A100-SXM4-80GB", 1, 80.0)


async def test_every_machine_has_a_processor_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    cpu = (await find_resources())[-1]
    assert cpu.type is ResourceType.CPU
    assert cpu.cpu_cores >= 1
    assert cpu.ram_gb > 0
    assert cpu.name
