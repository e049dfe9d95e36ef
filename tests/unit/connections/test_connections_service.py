from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.connections.model import ConnectionState
from gateway.connections.service import VERIFIED_TIME, Connections
from gateway.connections.vault import Vault
from gateway.errors import (
    CredentialsRejected,
    GatewayError,
    InvalidRequest,
    NotFound,
    PlatformTimeout,
    Reason,
    WrongState,
)
from gateway.paging import PageRequest
from gateway.plugins.model import Description
from gateway.store.connections import ConnectionStore
from gateway.store.database import Database
from tests.support.clocks import FakeClock

pytestmark = pytest.mark.unit
SCHEMA = """{"type": "object", "required": ["api_key"], "properties": {
    "api_key": {"type": "string", "secret": true, "description": "from the account page"},
    "region": {"type": "string", "enum": ["eu", "us"]}}}"""


@dataclass
class FakeAccess:
    """Connectors whose platform knows some keys."""

    good_keys: set[str] = field(default_factory=lambda: {"good", "better"})
    opened: dict[str, Mapping[str, str]] = field(default_factory=dict)
    schema: str = SCHEMA
    failure: GatewayError | None = None
    is_slow: bool = False
    opens_left: int = 1000

    async def describe(self, connector_id: str) -> Description:
        if connector_id == "none":
            raise NotFound("connector", connector_id)
        return Description(name=connector_id, credentials_schema=self.schema)

    async def open(self, connector_id: str, connection_id: str, credentials: Mapping[str, str]) -> str:
        if self.is_slow:
            await asyncio.Event().wait()
        if self.failure:
            raise self.failure
        self.opens_left -= 1
        if self.opens_left < 0:
            raise GatewayError("the process died", reason=Reason.CONNECTOR_DOWN)
        self._check(credentials)
        self.opened[connection_id] = credentials
        return f"account-of-{credentials['api_key']}"

    async def verify(self, connector_id: str, connection_id: str) -> str:
        if self.failure:
            raise self.failure
        if connection_id not in self.opened:
            raise GatewayError("not connected", reason=Reason.NOT_CONNECTED)
        self._check(self.opened[connection_id])
        return f"account-of-{self.opened[connection_id]['api_key']}"

    async def close(self, connector_id: str, connection_id: str) -> None:
        self.opened.pop(connection_id, None)
        if self.failure:
            raise self.failure

    def _check(self, credentials: Mapping[str, str]) -> None:
        if credentials["api_key"] not in self.good_keys:
            raise CredentialsRejected("the platform does not accept the key")


@dataclass
class Bench:
    folder: Path
    connections: Connections
    store: ConnectionStore
    access: FakeAccess
    clock: FakeClock
    busy: set[str]


@pytest.fixture
async def bench(tmp_path: Path, database: Database) -> Bench:
    store, access, clock, busy = ConnectionStore(database), FakeAccess(), FakeClock(), set[str]()

    async def has_open_jobs(connection_id: str) -> bool:
        return connection_id in busy

    connections = Connections(store, Vault.load(tmp_path, {}), access, clock, has_open_jobs)
    return Bench(tmp_path, connections, store, access, clock, busy)


async def test_a_connection_is_kept_and_found_by_id_and_name(bench: Bench) -> None:
    made = await bench.connections.connect("runpod", {"api_key": "good"}, "work")
    assert (made.name, made.account, made.state) == ("work", "account-of-good", ConnectionState.ACTIVE)
    assert await bench.connections.get(made.id) == await bench.connections.get("work") == made
    assert await bench.connections.credentials(made.id) == {"api_key": "good"}


async def test_names_are_made_from_the_connectors_id(bench: Bench) -> None:
    names = [(await bench.connections.connect("runpod", {"api_key": "good"})).name for _ in range(3)]
    assert names == ["runpod", "runpod-2", "runpod-3"]


async def test_connections_made_at_once_get_different_names(bench: Bench) -> None:
    made = await asyncio.gather(*(bench.connections.connect("runpod", {"api_key": "good"}) for _ in range(4)))
    assert {connection.name for connection in made} == {"runpod", "runpod-2", "runpod-3", "runpod-4"}


async def test_everything_wrong_is_told_at_once_before_the_platform_is_asked(bench: Bench) -> None:
    bench.access.failure = GatewayError("must not be asked", reason=Reason.GATEWAY_BUG)
    with pytest.raises(InvalidRequest) as caught:
        await bench.connections.connect("runpod", {"token": "canary", "region": "mars"}, "Bad Name")
    fields = [violation.field for violation in caught.value.violations]
    assert fields == ["name", "credentials.api_key", "credentials.token", "credentials.region"]
    assert "from the account page" in caught.value.message
    assert "canary" not in caught.value.message


@pytest.mark.parametrize("name", ["", "a" * 101, "-a", "conn-01k9x2m7pq4rstvw", "a/b", "Ä"])
async def test_names_that_cannot_be_used_are_refused(bench: Bench, name: str) -> None:
    if name == "":
        assert (await bench.connections.connect("runpod", {"api_key": "good"}, name)).name == "runpod"
        return
    with pytest.raises(InvalidRequest):
        await bench.connections.connect("runpod", {"api_key": "good"}, name)


async def test_a_name_that_is_taken_is_refused(bench: Bench) -> None:
    results = await asyncio.gather(
        *(bench.connections.connect("runpod", {"api_key": "good"}, "work") for _ in range(2)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Connection", "InvalidRequest"]
    assert len(bench.access.opened) == 1


async def test_nothing_is_kept_when_the_platform_refuses(bench: Bench) -> None:
    with pytest.raises(CredentialsRejected):
        await bench.connections.connect("runpod", {"api_key": "bad"})
    assert await bench.connections.all() == []
    with pytest.raises(NotFound):
        await bench.connections.connect("none", {"api_key": "good"})


async def test_a_platform_that_does_not_answer_is_not_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.connections.service.ANSWER_TIME", timedelta(milliseconds=1))
    bench.access.is_slow = True
    with pytest.raises(PlatformTimeout):
        await bench.connections.connect("runpod", {"api_key": "good"})
    assert await bench.connections.all() == []


async def test_a_connector_with_a_broken_schema_is_named_as_the_fault(bench: Bench) -> None:
    for schema in ("[]", "not json", '{"required": 1}', '{"properties": []}'):
        bench.access.schema = schema
        with pytest.raises(GatewayError) as caught:
            await bench.connections.connect("runpod", {"api_key": "good"})
        assert caught.value.reason is Reason.CONNECTOR_BUG


async def test_verify_keeps_what_the_platform_says(bench: Bench) -> None:
    made = await bench.connections.connect("runpod", {"api_key": "good"})
    bench.access.good_keys.clear()
    assert (await bench.connections.verify(made.id)).state is ConnectionState.NEEDS_AUTH
    bench.access.failure = GatewayError("503", reason=Reason.PLATFORM_UNAVAILABLE)
    assert (await bench.connections.verify(made.id)).state is ConnectionState.UNREACHABLE
    bench.access.failure = None
    bench.access.good_keys.add("good")
    bench.clock.advance(60)
    verified = await bench.connections.verify("runpod")
    assert (verified.state, verified.message, verified.verified_at) == (ConnectionState.ACTIVE, "", bench.clock.now())
    assert await bench.connections.get(made.id) == verified


async def test_the_time_of_a_check_is_kept_anew_only_where_the_last_one_is_some_seconds_old(bench: Bench) -> None:
    made = await bench.connections.connect("runpod", {"api_key": "good"})
    bench.clock.advance(1)
    assert (await bench.connections.verify(made.id)).verified_at == bench.clock.now()
    assert await bench.connections.get(made.id) == made
    bench.clock.advance(VERIFIED_TIME.total_seconds())
    verified = await bench.connections.verify(made.id)
    assert await bench.connections.get(made.id) == verified
    assert verified.verified_at == bench.clock.now()


async def test_verify_opens_the_connection_in_a_process_that_started_anew(bench: Bench) -> None:
    made = await bench.connections.connect("runpod", {"api_key": "good"})
    bench.access.opened.clear()
    assert (await bench.connections.verify(made.id)).state is ConnectionState.ACTIVE
    assert made.id in bench.access.opened


async def test_rotated_credentials_are_used_and_end_the_need_for_them(bench: Bench) -> None:
    made = await bench.connections.connect("runpod", {"api_key": "good"})
    await bench.connections.mark(made.id, ConnectionState.NEEDS_AUTH, "401")
    rotated = await bench.connections.rotate("runpod", {"api_key": "better"})
    assert (rotated.id, rotated.state, rotated.account) == (made.id, ConnectionState.ACTIVE, "account-of-better")
    assert bench.access.opened == {made.id: {"api_key": "better"}}
    assert await bench.connections.credentials(made.id) == {"api_key": "better"}


async def test_new_credentials_count_even_if_the_connector_fails_right_after_it_checked_them(bench: Bench) -> None:
    made = await bench.connections.connect("runpod", {"api_key": "good"})
    bench.access.opens_left = 1
    rotated = await bench.connections.rotate(made.id, {"api_key": "better"})
    assert rotated.state is ConnectionState.UNREACHABLE
    assert await bench.connections.credentials(made.id) == {"api_key": "better"}
    assert bench.access.opened == {}
    bench.access.opens_left = 1
    assert (await bench.connections.verify(made.id)).state is ConnectionState.ACTIVE


async def test_refused_new_credentials_leave_the_old_ones_in_use(bench: Bench) -> None:
    made = await bench.connections.connect("runpod", {"api_key": "good"})
    with pytest.raises(CredentialsRejected):
        await bench.connections.rotate(made.id, {"api_key": "bad"})
    assert bench.access.opened == {made.id: {"api_key": "good"}}
    assert await bench.connections.credentials(made.id) == {"api_key": "good"}


async def test_a_connection_with_open_jobs_is_kept_unless_forced(bench: Bench) -> None:
    made = await bench.connections.connect("runpod", {"api_key": "good"})
    bench.busy.add(made.id)
    with pytest.raises(WrongState):
        await bench.connections.disconnect(made.id)
    await bench.connections.disconnect(made.id, force=True)
    with pytest.raises(NotFound):
        await bench.connections.get(made.id)
    with pytest.raises(NotFound):
        await bench.connections.credentials(made.id)
    assert bench.access.opened == {}


async def test_credentials_go_even_when_the_connector_is_down(bench: Bench) -> None:
    made = await bench.connections.connect("runpod", {"api_key": "good"})
    bench.access.failure = GatewayError("down", reason=Reason.CONNECTOR_DOWN)
    await bench.connections.disconnect(made.id)
    assert await bench.connections.all() == []


@pytest.mark.parametrize("ledger_kind", ["sqlite"], indirect=True)
async def test_no_file_ever_has_a_secret_and_sealed_bytes_leave_no_trace(bench: Bench) -> None:
    bench.access.good_keys |= {"canary-" + "x" * 5000, "good"}
    made = await bench.connections.connect("runpod", {"api_key": "canary-" + "x" * 5000})
    first = await bench.store.sealed(made.id)
    assert first is not None
    assert first[-64:] in on_disk(bench.folder)
    await bench.connections.rotate(made.id, {"api_key": "good"})
    assert first[-64:] not in on_disk(bench.folder)
    assert first[:40] not in on_disk(bench.folder)
    second = await bench.store.sealed(made.id)
    assert second is not None
    await bench.connections.disconnect(made.id)
    assert second[-16:] not in on_disk(bench.folder)
    assert b"canary" not in on_disk(bench.folder)


async def test_connections_are_listed_in_pages_of_one_connector(bench: Bench) -> None:
    for connector in ("a", "b", "a", "a"):
        await bench.connections.connect(connector, {"api_key": "good"})
        bench.clock.advance(1)
    first, token = await bench.connections.list(PageRequest.parse(2, ""), "a")
    rest, end = await bench.connections.list(PageRequest.parse(2, token), "a")
    assert [connection.name for connection in [*first, *rest]] == ["a", "a-2", "a-3"]
    assert end == ""


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
