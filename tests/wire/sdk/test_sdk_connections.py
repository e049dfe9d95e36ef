"""Connections: opening, refusing, rotating, verifying, closing; and the tokens of both sides."""

import asyncio
from typing import ClassVar

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from connector_sdk.testing import ConnectorHarness
from connectors.base import PlatformConnector
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceStub
from tests.support.sdk.required_connector import PlainConnector
from tests.support.sdk.rpc import SECONDS, failure

pytestmark = pytest.mark.wire

SERVICE = "peftstudio.connector.v1.ConnectorService"
RESOURCES = pb.ListResourcesRequest(connection_id="c1")


class CountingConnector(PlainConnector):
    """Notes what happens to its objects."""

    events: list[str]

    async def connect(self, credentials: dict[str, str]) -> bool:
        self.key = credentials.get("api_key", "")
        self.account = self.key.upper()
        self.events.append(f"connect {self.key}")
        return self.key != "wrong"

    async def disconnect(self) -> None:
        self.events.append(f"disconnect {self.key}")


@pytest.fixture
def counting() -> type[CountingConnector]:
    return type("Counting", (CountingConnector,), {"events": []})


async def test_a_call_without_the_gateways_token_is_refused_and_learns_nothing() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        for metadata in ((), (("authorization", "Bearer wrong"),), (("authorization", "Bearer "),)):
            call = ConnectorServiceStub(harness.channel).Describe(
                pb.DescribeRequest(), timeout=SECONDS, metadata=metadata
            )
            refused = await failure(call)
            assert refused.code is grpc.StatusCode.UNAUTHENTICATED
            assert refused.reason == "CREDENTIALS_REJECTED"
            assert "x-connector-token" not in dict(await call.initial_metadata())


async def test_a_stream_without_the_gateways_token_is_refused() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        await harness.connect()
        stub = ConnectorServiceStub(harness.channel)
        request = pb.StreamLogsRequest(connection_id="c1", platform_job_id="1")
        assert (await failure(stub.StreamLogs(request, timeout=SECONDS))).reason == "CREDENTIALS_REJECTED"


async def test_every_answer_carries_the_connectors_token() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        call = harness.stub.Describe(pb.DescribeRequest(), timeout=SECONDS)
        await call
        assert dict(await call.initial_metadata())["x-connector-token"] == harness.connector_token
        failing = harness.stub.ListResources(RESOURCES, timeout=SECONDS)
        await failure(failing)
        assert dict(await failing.initial_metadata())["x-connector-token"] == harness.connector_token


async def test_health_answers_without_a_token() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        stub = health_pb2_grpc.HealthStub(harness.channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)  # type: ignore[attr-defined]
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_method_that_nobody_knows_is_unimplemented() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = harness.channel.unary_unary(
            "/peftstudio.connector.v1.ConnectorService/Dance"
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", timeout=SECONDS)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_call_for_a_connection_that_is_not_open_says_so() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        failed = await failure(harness.stub.ListResources(RESOURCES, timeout=SECONDS))
        stream = harness.stub.StreamLogs(pb.StreamLogsRequest(connection_id="c1"), timeout=SECONDS)
        assert (await failure(stream)).reason == "NOT_CONNECTED"
    assert (failed.code, failed.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_CONNECTED")


async def test_a_refused_connect_rejects_the_credentials_and_cleans_up(counting: type[CountingConnector]) -> None:
    async with ConnectorHarness(counting) as harness:
        request = pb.ConnectRequest(connection_id="c1", credentials={"api_key": "wrong"})
        failed = await failure(harness.stub.Connect(request, timeout=SECONDS))
        assert (await failure(harness.stub.ListResources(RESOURCES, timeout=SECONDS))).reason == "NOT_CONNECTED"
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_REJECTED")
    assert counting.events == ["connect wrong", "disconnect wrong"]


async def test_connecting_again_replaces_the_connection_and_closes_the_old_one(
    counting: type[CountingConnector],
) -> None:
    async with ConnectorHarness(counting) as harness:
        await harness.connect({"api_key": "old"})
        answer = await harness.stub.Connect(
            pb.ConnectRequest(connection_id="c1", credentials={"api_key": "new"}), timeout=SECONDS
        )
        assert answer.account == "NEW"
        assert counting.events == ["connect old", "connect new", "disconnect old"]
    assert counting.events[-1] == "disconnect new"


async def test_a_failed_rotation_leaves_the_open_connection_alone(counting: type[CountingConnector]) -> None:
    async with ConnectorHarness(counting) as harness:
        await harness.connect({"api_key": "good"})
        wrong = pb.ConnectRequest(connection_id="c1", credentials={"api_key": "wrong"})
        await failure(harness.stub.Connect(wrong, timeout=SECONDS))
        assert len((await harness.stub.ListResources(RESOURCES, timeout=SECONDS)).resources) == 1


async def test_disconnecting_what_is_not_open_is_no_error() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        await harness.stub.Disconnect(pb.DisconnectRequest(connection_id="never"), timeout=SECONDS)


async def test_two_connections_have_objects_of_their_own(counting: type[CountingConnector]) -> None:
    async with ConnectorHarness(counting) as harness:
        await harness.connect({"api_key": "one"}, "c1")
        await harness.connect({"api_key": "two"}, "c2")
        await harness.stub.Disconnect(pb.DisconnectRequest(connection_id="c1"), timeout=SECONDS)
        verified = await harness.stub.VerifyConnection(pb.VerifyConnectionRequest(connection_id="c2"), timeout=SECONDS)
    assert verified.account == "TWO"


async def test_verifying_without_a_method_for_it_connects_a_second_object(counting: type[CountingConnector]) -> None:
    async with ConnectorHarness(counting) as harness:
        await harness.connect({"api_key": "key"})
        await harness.stub.VerifyConnection(pb.VerifyConnectionRequest(connection_id="c1"), timeout=SECONDS)
        assert counting.events == ["connect key", "connect key", "disconnect key"]


async def test_verifying_asks_the_method_where_there_is_one() -> None:
    class Verifying(PlainConnector):
        async def verify_connection(self) -> bool:
            return False

    async with ConnectorHarness(Verifying) as harness:
        await harness.connect()
        request = pb.VerifyConnectionRequest(connection_id="c1")
        assert (await failure(harness.stub.VerifyConnection(request, timeout=SECONDS))).reason == "CREDENTIALS_REJECTED"


async def test_missing_credentials_are_named_all_at_once() -> None:
    class Demanding(PlainConnector):
        credentials_schema: ClassVar = {"type": "object", "required": ["api_key", "org"]}

    async with ConnectorHarness(Demanding) as harness:
        call = harness.stub.Connect(pb.ConnectRequest(connection_id="c1"), timeout=SECONDS)
        assert (await failure(call)).message == "credentials.api_key: is required; credentials.org: is required"


async def test_a_disconnect_that_fails_closes_the_connection_all_the_same() -> None:
    class Stubborn(PlainConnector):
        async def disconnect(self) -> None:
            raise RuntimeError("no")

    async with ConnectorHarness(Stubborn) as harness:
        await harness.connect()
        await harness.stub.Disconnect(pb.DisconnectRequest(connection_id="c1"), timeout=SECONDS)
        assert (await failure(harness.stub.ListResources(RESOURCES, timeout=SECONDS))).reason == "NOT_CONNECTED"


async def test_calls_of_one_connection_run_side_by_side() -> None:
    both = asyncio.Barrier(2)

    class Meeting(PlainConnector):
        async def list_resources(self) -> list[object]:  # type: ignore[override]
            await both.wait()
            return []

    async with ConnectorHarness(Meeting) as harness:
        await harness.connect()
        await asyncio.gather(*(harness.stub.ListResources(RESOURCES, timeout=SECONDS) for _ in range(2)))


async def test_two_connects_of_one_connection_wait_for_each_other(counting: type[CountingConnector]) -> None:
    async with ConnectorHarness(counting) as harness:
        await asyncio.gather(*(harness.connect({"api_key": key}) for key in ("first", "second")))
        assert sorted(counting.events[:1] + counting.events[2:]) == sorted(
            [counting.events[0], f"disconnect {counting.events[0].split()[1]}"]
        )


async def test_an_author_who_forgets_super_init_and_the_return_of_connect_is_served() -> None:
    class Forgetful(PlainConnector):
        def __init__(self) -> None:
            self.ready = True

        async def connect(self, credentials: dict[str, str]) -> bool:
            return None  # type: ignore[return-value]

    async with ConnectorHarness(Forgetful) as harness:
        await harness.connect()
        assert (await harness.stub.ListResources(RESOURCES, timeout=SECONDS)).resources


async def test_the_work_dir_is_known_before_connect(tmp_path: object) -> None:
    seen: list[PlatformConnector] = []

    class Looking(PlainConnector):
        async def connect(self, credentials: dict[str, str]) -> bool:
            assert self.work_dir == tmp_path
            seen.append(self)
            return True

    async with ConnectorHarness(Looking, work_dir=tmp_path) as harness:  # type: ignore[arg-type]
        await harness.connect()
    assert seen
