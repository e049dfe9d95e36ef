"""Files written for the application's own base class run as they are."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.client import Client
from gateway.client.errors import GatewayCallError
from peftstudio.gateway.v1.jobs_service_pb2 import Job
from peftstudio.job.v1.resource_pb2 import RESOURCE_TYPE_CPU, RESOURCE_TYPE_GPU
from tests.support.variant.vendors import WEIGHTS, Vendors

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

WAIT = timedelta(seconds=60)
CONFIG = {"base_model": "org/m", "dataset_path": "d"}


async def ran(client: Client, connection: str, **fields: object) -> Job:
    job = await client.jobs.submit(connection, {**CONFIG, **fields})
    return await client.jobs.wait(job.id, WAIT)


async def log_of(client: Client, job: Job) -> list[str]:
    return [line.text async for line in client.jobs.logs(job.id, follow=True)]


async def test_a_gpu_rental_gets_every_setting_and_ends_a_pod(client: Client, vendors: Vendors) -> None:
    connection = (await client.connections.connect("pods", vendors.credentials)).id
    (gpu,) = [one async for one in client.catalog.resources(connection)]
    assert (gpu.type, gpu.vram_gb, gpu.cpu_cores, gpu.region) == (RESOURCE_TYPE_GPU, 24, 8, "eu-1")
    price = await client.catalog.price(connection, gpu.id)
    assert (price.amount_micros, price.spot_amount_micros, price.billing_increment_seconds) == (690_000, 310_000, 1)
    settings = {"quantization": "nf4", "target_modules": ["q", "v"], "gradient_accumulation_steps": 2}
    job = await client.jobs.submit(connection, {**CONFIG, **settings, "warmup_steps": 5}, resource_id=gpu.id)
    async for seen in client.jobs.watch(job_id=job.id):
        if seen.status == "running":
            break
    await client.jobs.cancel(job.id)
    assert (await client.jobs.wait(job.id, WAIT)).status == "cancelled"
    (pod,) = vendors.pods.values()
    environment = {"MODEL": "org/m", "SOURCE": "huggingface", "QUANTIZATION": "nf4", "MODULES": "q,v"}
    assert pod["wish"] == {"gpu": "rtx4090", "env": {**environment, "ACCUMULATION": 2, "WARMUP": 5}}
    assert await log_of(client, job) == ["booting", "training"]


async def test_a_rental_that_does_not_know_the_key_is_not_connected(client: Client, vendors: Vendors) -> None:
    with pytest.raises(GatewayCallError, match="not accepted"):
        await client.connections.connect("pods", {**vendors.credentials, "api_key": "wrong"})
    with pytest.raises(GatewayCallError, match="api_key"):
        await client.connections.connect("pods", {"base_url": vendors.url})


async def test_a_fine_tuning_service_trains_to_its_end(client: Client, vendors: Vendors, tmp_path: Path) -> None:
    connection = (await client.connections.connect("tunes", vendors.credentials)).id
    job = await ran(client, connection, rank=4, checkpoint_steps=10)
    assert job.status == "completed"
    assert await log_of(client, job) == ["epoch 1", "epoch 2"]
    (fetched,) = await client.artifacts.download(job.id, tmp_path)
    assert fetched.read_bytes() == WEIGHTS
    (tune,) = vendors.tunes.values()
    assert isinstance(tune["wish"], dict)
    assert (tune["wish"]["rank"], tune["wish"]["checkpoint_steps"]) == (4, 10)


async def test_what_its_validation_refuses_never_reaches_the_service(client: Client, vendors: Vendors) -> None:
    connection = (await client.connections.connect("tunes", vendors.credentials)).id
    with pytest.raises(GatewayCallError, match=r"0\.5 at most"):
        await client.jobs.submit(connection, {**CONFIG, "validation_split": 0.7})
    assert not vendors.tunes


async def test_a_hub_takes_finds_and_describes_a_model(client: Client, vendors: Vendors, tmp_path: Path) -> None:
    connection = (await client.connections.connect("modelhub", vendors.credentials)).id
    (tmp_path / "adapter.safetensors").write_bytes(b"adapter")
    uri = await client.artifacts.upload(tmp_path / "adapter.safetensors", connection, {"repo": "mine"})
    assert (uri, vendors.models) == ("hub://mine", {"mine": b"adapter"})
    assert [(one.id, one.downloads) async for one in client.catalog.search_models(connection, "mi")] == [("mine", 7)]
    assert (await client.catalog.model(connection, "mine")).metadata["size"] == 7
    said = await client.connectors.get("modelhub")
    assert list(said.features) == ["registry"]
    job = await ran(client, connection)
    assert (job.status, "does not train" in job.message) == ("failed", True)


async def test_a_trackers_numbers_arrive(client: Client, vendors: Vendors) -> None:
    connection = await client.connections.connect("tracker", vendors.credentials)
    assert connection.account == "me"
    job = await ran(client, connection.id, project_name="p", experiment_tracker="t")
    assert job.platform_job_id == "p-t"
    points = (await client.jobs.metrics(job.id, names=["loss"])).metrics
    assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 0.5), (4, 0.25)]


async def test_a_program_of_this_machine_ends_as_its_exit_code_says(client: Client) -> None:
    connection = (await client.connections.connect("workshop", {})).id
    (machine,) = [one async for one in client.catalog.resources(connection)]
    assert (machine.type, machine.ram_gb) == (RESOURCE_TYPE_CPU, 8)
    good = await ran(client, connection, rank=16)
    assert (good.status, await log_of(client, good)) == ("completed", ["rank 16"])
    assert (await ran(client, connection, project_name="broken")).status == "failed"
