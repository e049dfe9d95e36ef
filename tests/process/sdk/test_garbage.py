"""How a connector's process looks for garbage."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceStub
from tests.support.sdk.launching import launched
from tests.support.sdk.rpc import SECONDS

pytestmark = pytest.mark.process

TELLING = """
import gc, json
{settings}
from connector_sdk import Resource
from tests.support.sdk.required_connector import PlainConnector

class TellingConnector(PlainConnector):
    async def list_resources(self):
        return [Resource(id="x", name=json.dumps([gc.isenabled(), gc.get_freeze_count(), gc.get_threshold()]))]
"""


async def _told(folder: Path, settings: str = "") -> tuple[bool, int, list[int]]:
    path = folder / "telling_connector.py"
    path.write_text(TELLING.format(settings=settings))
    async with launched(str(path), folder) as connector, connector.channel() as channel:
        stub = ConnectorServiceStub(channel)
        await stub.Connect(pb.ConnectRequest(connection_id="c1", credentials={"api_key": "key"}), timeout=SECONDS)
        listed = await stub.ListResources(pb.ListResourcesRequest(connection_id="c1"), timeout=SECONDS)
    told: tuple[bool, int, list[int]] = tuple(json.loads(listed.resources[0].name))
    return told


async def test_new_garbage_is_found_as_soon_as_ever_and_what_was_imported_is_left_alone(tmp_path: Path) -> None:
    is_enabled, frozen, thresholds = await _told(tmp_path)
    assert is_enabled
    assert frozen > 10_000
    assert thresholds[:2] == list(gc.get_threshold()[:2])
    assert thresholds[2] > gc.get_threshold()[2]


async def test_an_author_may_say_how_garbage_is_looked_for(tmp_path: Path) -> None:
    _, _, thresholds = await _told(tmp_path, "gc.set_threshold(7_000, 7, 7)")
    assert thresholds == [7_000, 7, 7]
