"""Deployments through a real gateway: made once, asked, changed, stopped, and never forgotten."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.client import Client, SyncClient
from gateway.client.errors import GatewayCallError
from gateway.deployments.service import STOP_AGAIN_SECONDS
from peftstudio.gateway.v1.deployments_service_pb2 import (
    DEPLOYMENT_STATE_ACTIVE,
    DEPLOYMENT_STATE_FAILED,
    DEPLOYMENT_STATE_IN_DOUBT,
    DEPLOYMENT_STATE_STOPPED,
    DEPLOYMENT_STATE_STOPPING,
)
from tests.process.gateway.conftest import eventually
from tests.process.variant.conftest import VARIANT
from tests.support.gateway_process import PEFTSTUDIO, GatewayProcess, gateway_process
from tests.support.variant.vendors import Vendors

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module")
async def connection(client: Client, vendors: Vendors) -> str:
    return (await client.connections.connect("endpoints", vendors.credentials)).id


async def test_a_model_is_deployed_asked_measured_changed_and_stopped(
    client: Client, vendors: Vendors, connection: str
) -> None:
    said = await client.connectors.get("endpoints")
    assert {"deploy_model", "stop_deployment", "invoke_endpoint", "update_deployment"} <= set(said.capabilities)
    made = await client.deployments.create(connection, "hub://mine", options={"replicas": 2})
    assert (made.state, made.platform_deployment_id) == (DEPLOYMENT_STATE_ACTIVE, made.id)
    assert vendors.endpoints[made.id] == {"name": made.id, "model": "hub://mine", "replicas": 2, "looks": 0}
    assert (await client.deployments.get(made.id)).endpoint_url == f"{vendors.url}/endpoints/{made.id}/predict"
    answer = await client.deployments.invoke(made.id, {"prompt": "hi"})
    assert answer == {"choices": [{"text": "HI"}], "usage": {"tokens": 3}}
    changed = await client.deployments.update(made.id, {"replicas": 3})
    assert dict(changed.options) == {"replicas": 3}
    assert await client.deployments.metrics(made.id) == {"replicas": 3, "p50_ms": 12.5}
    with pytest.raises(GatewayCallError, match="deployments that have not ended"):
        await client.connections.disconnect(connection)
    for _ in range(2):
        assert (await client.deployments.stop(made.id)).state == DEPLOYMENT_STATE_STOPPED
    assert (vendors.endpoints, vendors.deletes) == ({}, 1)
    with pytest.raises(GatewayCallError, match="STOPPED, not ACTIVE"):
        await client.deployments.invoke(made.id, {"prompt": "hi"})
    assert made.id not in [one.id async for one in client.deployments.list(connection)]
    assert made.id in [one.id async for one in client.deployments.list(connection, include_ended=True)]


async def test_the_same_request_id_gives_the_same_deployment(client: Client, vendors: Vendors, connection: str) -> None:
    calls = [client.deployments.create(connection, "m", request_id=f"wish-{connection}") for _ in range(5)]
    answers = await asyncio.gather(*calls)
    assert len({answer.id for answer in answers}) == len(vendors.endpoints) == 1
    with pytest.raises(GatewayCallError, match="was used for another deployment"):
        await client.deployments.create(connection, "other", request_id=f"wish-{connection}")


async def test_a_refusal_fails_and_a_lost_answer_is_in_doubt(client: Client, vendors: Vendors, connection: str) -> None:
    vendors.create_status = 400
    refused = await client.deployments.create(connection, "m")
    assert (refused.state, "Bad Request" in refused.message) == (DEPLOYMENT_STATE_FAILED, True)
    vendors.create_status = 502
    lost = await client.deployments.create(connection, "m")
    assert (lost.state, len(vendors.endpoints)) == (DEPLOYMENT_STATE_IN_DOUBT, 1)
    assert f"look for {lost.id} on the platform's pages" in lost.message
    with pytest.raises(GatewayCallError, match="no id at its platform"):
        await client.deployments.stop(lost.id)


async def test_one_that_is_gone_at_its_platform_counts_as_stopped(
    client: Client, vendors: Vendors, connection: str
) -> None:
    made = await client.deployments.create(connection, "m")
    vendors.endpoints.clear()
    assert (await client.deployments.stop(made.id)).state == DEPLOYMENT_STATE_STOPPED


async def test_a_connector_that_cannot_deploy_is_refused_at_once(client: Client, vendors: Vendors) -> None:
    rental = (await client.connections.connect("pods", vendors.credentials)).id
    with pytest.raises(GatewayCallError, match="does not offer deploy_model"):
        await client.deployments.create(rental, "m")
    assert not [one async for one in client.deployments.list(rental, include_ended=True)]


async def test_a_killed_gateway_keeps_a_deployment_and_goes_on_stopping_it(tmp_path: Path, vendors: Vendors) -> None:
    async with gateway_process(tmp_path / "data", "--plugins", str(VARIANT)) as gateway:
        async with Client(data_dir=gateway.data_dir) as client:
            connection = (await client.connections.connect("endpoints", vendors.credentials)).id
            kept = await client.deployments.create(connection, "m")
            wished = await client.deployments.create(connection, "m")
            vendors.delete_status = 503
            assert (await client.deployments.stop(wished.id)).state == DEPLOYMENT_STATE_STOPPING
        await gateway.kill()
        vendors.delete_status = 200
        await gateway.start()
        async with Client(data_dir=gateway.data_dir) as client:

            async def is_stopped() -> bool:
                return (await client.deployments.get(wished.id)).state == DEPLOYMENT_STATE_STOPPED

            await eventually(is_stopped, 2 * STOP_AGAIN_SECONDS + 30)
            assert list(vendors.endpoints) == [kept.id]
            assert await client.deployments.invoke(kept.id, {"prompt": "on"}) != {}


async def test_the_blocking_client_does_the_same(gateway: GatewayProcess, vendors: Vendors, connection: str) -> None:
    def by_hand() -> None:
        with SyncClient(data_dir=gateway.data_dir) as client:
            made = client.deployments.create(connection, "m", options={"replicas": 1})
            assert [one.id for one in client.deployments.list(connection)] == [made.id]
            assert client.deployments.invoke(made.id, {"prompt": "a"}) != {}
            assert client.deployments.stop(made.id).state == DEPLOYMENT_STATE_STOPPED

    await asyncio.to_thread(by_hand)
    assert not vendors.endpoints


async def test_the_command_line_does_all_of_it(gateway: GatewayProcess, vendors: Vendors, connection: str) -> None:
    async def typed(*words: str) -> str:
        command = [str(PEFTSTUDIO), "--data-dir", str(gateway.data_dir), "deployments", *words]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    made = json.loads(await typed("create", "m", "-c", connection, "--options", '{"replicas": 1}', "--json"))
    assert made["state"] == "DEPLOYMENT_STATE_ACTIVE"
    assert made["id"] in await typed("list", "-c", connection)
    assert "/predict" in await typed("get", made["id"])
    await typed("update", made["id"], '{"replicas": 4}')
    assert json.loads(await typed("metrics", made["id"]))["replicas"] == 4
    assert json.loads(await typed("invoke", made["id"], '{"prompt": "a"}'))["choices"] == [{"text": "A"}]
    assert "stopped" in await typed("stop", made["id"])
    assert not vendors.endpoints
