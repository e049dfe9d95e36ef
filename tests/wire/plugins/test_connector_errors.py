"""What a connector that is not of the SDK says when it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from gateway.errors import ConnectorDown, GatewayError, Reason
from gateway.plugins.channel import open_channel
from gateway.plugins.client import ConnectorClient
from gateway.plugins.failures import Stranger
from gateway.plugins.handshake import Tokens
from gateway.plugins.lines import LastLines
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1 import connector_service_pb2_grpc as pb_grpc

pytestmark = pytest.mark.wire

KEY = "canary-5f1e2d"
LIMIT = timedelta(seconds=10)


class Careless(pb_grpc.ConnectorServiceServicer):
    """Puts the credentials that it was given into all that it says."""

    def __init__(self, tokens: Tokens) -> None:
        self.proof = (("x-connector-token", tokens.connector),)
        self.is_dying = False

    async def Connect(
        self, request: pb.ConnectRequest, context: grpc.aio.ServicerContext[pb.ConnectRequest, pb.ConnectResponse]
    ) -> pb.ConnectResponse:
        await context.send_initial_metadata(self.proof)
        return pb.ConnectResponse()

    async def GetPricing(
        self,
        request: pb.GetPricingRequest,
        context: grpc.aio.ServicerContext[pb.GetPricingRequest, pb.GetPricingResponse],
    ) -> pb.GetPricingResponse:
        await context.send_initial_metadata(self.proof)
        status = Status(code=grpc.StatusCode.NOT_FOUND.value[0], message=f"GET /?key={KEY} said 404")
        for detail in (
            details.ErrorInfo(domain="peftstudio", reason="NOT_FOUND", metadata={"url": f"/?key={KEY}"}),
            details.ResourceInfo(resource_type="resource", resource_name=request.resource_id),
            details.BadRequest(field_violations=[details.BadRequest.FieldViolation(field="key", description=KEY)]),
        ):
            packed = AnyMessage()
            packed.Pack(detail)
            status.details.append(packed)
        await context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError

    async def StreamLogs(
        self,
        request: pb.StreamLogsRequest,
        context: grpc.aio.ServicerContext[pb.StreamLogsRequest, pb.StreamLogsResponse],
    ) -> AsyncIterator[pb.StreamLogsResponse]:
        # Without a proof, as grpc.aio shows a stream whose end arrives together with it.
        await context.abort(grpc.StatusCode.INTERNAL, "the log is broken")
        yield pb.StreamLogsResponse()

    async def Describe(
        self, request: pb.DescribeRequest, context: grpc.aio.ServicerContext[pb.DescribeRequest, pb.DescribeResponse]
    ) -> pb.DescribeResponse:
        if self.is_dying:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "it is about to end")
        await context.send_initial_metadata(self.proof)
        return pb.DescribeResponse()


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def connector(tokens: Tokens) -> Careless:
    # The other methods answer UNIMPLEMENTED.
    return Careless(tokens)  # type: ignore[abstract]


@pytest.fixture
async def client(tmp_path: Path, connector: Careless, tokens: Tokens) -> AsyncIterator[ConnectorClient]:
    server = grpc.aio.server()
    pb_grpc.add_ConnectorServiceServicer_to_server(connector, server)
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    made = ConnectorClient("careless", 1, open_channel(tmp_path / "s"), tokens, LastLines(lambda stream, line: None))
    yield made
    await made.close()
    await server.stop(0)


async def refused(client: ConnectorClient) -> GatewayError:
    request = pb.GetPricingRequest(connection_id="c1", resource_id="h100")
    with pytest.raises(GatewayError) as error:
        await client.call(lambda stub: stub.GetPricing, request, LIMIT)
    return error.value


async def test_no_error_of_a_connector_shows_the_credentials_that_it_was_given(client: ConnectorClient) -> None:
    assert KEY in (await refused(client)).message
    await client.connect("c1", {"api_key": KEY, "region": "eu"}, LIMIT)
    error = await refused(client)
    assert error.message == "GET /?key=[redacted] said 404"
    assert KEY not in f"{error!r} {error} {error.violations} {error.metadata}"


async def test_what_a_connector_says_that_there_is_none_of_is_named_to_the_client(client: ConnectorClient) -> None:
    error = await refused(client)
    assert error.reason is Reason.NOT_FOUND
    named = error.metadata["resource_type"], error.metadata["resource_name"]
    assert named == ("resource", "h100")


async def broken_log(client: ConnectorClient) -> GatewayError:
    request = pb.StreamLogsRequest(connection_id="c1", platform_job_id="j1")
    with pytest.raises(GatewayError) as error:
        async for _ in client.stream(lambda stub: stub.StreamLogs, request):
            pass
    return error.value


async def test_a_stream_that_fails_at_once_is_believed_where_its_process_proves_itself(client: ConnectorClient) -> None:
    error = await broken_log(client)
    assert (error.reason, error.message) == (Reason.CONNECTOR_BUG, "the log is broken")


async def test_a_stream_that_fails_at_once_is_no_strangers_where_nobody_can_be_asked(
    client: ConnectorClient, connector: Careless
) -> None:
    connector.is_dying = True
    error = await broken_log(client)
    assert isinstance(error, ConnectorDown)
    assert not isinstance(error, Stranger)


async def test_a_stream_that_fails_at_once_is_a_strangers_where_he_answers(
    client: ConnectorClient, connector: Careless
) -> None:
    connector.proof = (("x-connector-token", "made up"),)
    assert isinstance(await broken_log(client), Stranger)
