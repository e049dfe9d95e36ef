"""A connector as the guide writes it, untouched, behind a real gateway."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.client import Client
from gateway.client.errors import GatewayCallError
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from tests.process.guide.conftest import Written
from tests.support.gateway_process import gateway_process
from tests.support.guide.hosts import Hosts
from tests.support.guide.my_platform import ADAPTER, LINES, WRONG_KEY_WORDS, MyPlatform

pytestmark = pytest.mark.process

WAIT = timedelta(seconds=90)
KEY = {"api_key": "valid_key"}
CONFIG = {"base_model": "org/tiny", "dataset_path": "hf://org/data", "rank": 4, "alpha": 8, "num_epochs": 2}


async def test_all_nine_methods_work_through_the_gateway(
    written: Written, platform: MyPlatform, hosts: Hosts, tmp_path: Path
) -> None:
    plugins = str(written.plugins)
    async with (
        gateway_process(tmp_path / "data", "--plugins", plugins, prefix=hosts.prefix) as gateway,
        Client(data_dir=gateway.data_dir) as client,
    ):
        with pytest.raises(GatewayCallError, match=WRONG_KEY_WORDS):
            await client.connections.connect(written.name, {"api_key": "wrong"})
        with pytest.raises(GatewayCallError, match=r"api_key|API key"):
            await client.connections.connect(written.name, {})
        assert not [one async for one in client.connections.list()]
        connection = (await client.connections.connect(written.name, KEY)).id
        await client.connections.verify(connection)

        (resource,) = [one async for one in client.catalog.resources(connection)]
        assert (resource.name, resource.gpu_count, resource.vram_gb) == ("A100 80 GB", 2, 80)
        price = await client.catalog.price(connection, resource.id)
        assert (price.amount_micros, price.currency, price.billing_increment_seconds) == (2_490_000, "EUR", 1)

        job = await client.jobs.submit(connection, CONFIG)
        lines = [line.text async for line in client.jobs.logs(job.id, follow=True)]
        assert lines == [f"step {number} of {LINES}" for number in range(1, LINES + 1)]
        assert (await client.jobs.wait(job.id, WAIT)).state == JOB_STATE_SUCCEEDED
        assert _sent(platform) == {"model": "org/tiny", "dataset": "hf://org/data", "rank": 4, "alpha": 8}

        (fetched,) = await client.artifacts.download(job.id, tmp_path / "adapter")
        assert fetched.read_bytes() == ADAPTER
        artifact_id = await client.artifacts.upload(fetched, connection, {"title": "mine"})
        assert artifact_id == "artifact-1"
        assert platform.uploads == [("adapter.safetensors", ADAPTER, "{'title': 'mine'}")]

        await client.connections.disconnect(connection)
        assert not [one async for one in client.connections.list()]


def _sent(platform: MyPlatform) -> dict[str, object]:
    """Return what the platform was asked for, in the part that the test chose."""
    *_, job = platform.jobs.values()
    return {key: value for key, value in job.payload.items() if key in ("model", "dataset", "rank", "alpha")}
