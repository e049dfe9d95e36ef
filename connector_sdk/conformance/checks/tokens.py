"""Tokens, both ways, on every call."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from google.protobuf import message_factory
from google.protobuf.message import Message

from connector_sdk.conformance import health
from connector_sdk.conformance.check import advise, check, expect
from connector_sdk.conformance.refusal import Refusal
from connector_sdk.conformance.trial import Trial
from connector_sdk.conformance.wire import METHODS, Wire, opened, proof_of
from peftstudio.connector.v1 import connector_service_pb2 as pb

NOBODY = "conformance-nobody"
UPLOAD = "UploadArtifact"


@check("tokens.missing", remedy="Answer UNAUTHENTICATED to every call without `authorization`.")
async def missing(trial: Trial) -> None:
    """A call without the gateway's token is UNAUTHENTICATED."""
    await _expect_stranger(await trial.stranger())


@check("tokens.wrong", remedy="Compare the whole value of `authorization`, in constant time.")
async def wrong(trial: Trial) -> None:
    """A call with another token is UNAUTHENTICATED."""
    await _expect_stranger(_bearer(await trial.wire(), "x" * 43))


@check("tokens.part", remedy="Compare the whole value, not its beginning.")
async def part(trial: Trial) -> None:
    """A call with a part of the token, or with more than the token, is UNAUTHENTICATED."""
    wire = await trial.wire()
    value = wire.metadata[0][1]
    await _expect_stranger(wire.with_metadata(("authorization", value[:-1])))
    await _expect_stranger(wire.with_metadata(("authorization", value + "x")))


@check("tokens.scheme", remedy="Expect `Bearer <gateway_token>` and nothing else.")
async def scheme(trial: Trial) -> None:
    """The token alone, or behind another scheme, is UNAUTHENTICATED."""
    wire = await trial.wire()
    token = wire.metadata[0][1].removeprefix("Bearer ")
    await _expect_stranger(wire.with_metadata(("authorization", token)))
    await _expect_stranger(wire.with_metadata(("authorization", f"Basic {token}")))


@check("tokens.own", remedy="Expect the gateway's token; the connector's own is what you send.")
async def own(trial: Trial) -> None:
    """The connector's own token does not open it."""
    await _expect_stranger(_bearer(await trial.wire(), await trial.proof()))


@check("tokens.every_method", remedy="Check the token in an interceptor that all methods pass, Shutdown too.")
async def every_method(trial: Trial) -> None:
    """Every method but those of health refuses callers without the token."""
    stranger = await trial.stranger()
    for request in _requests():
        _expect_unauthenticated(await stranger.refusal(request), type(request).__name__)


@check("tokens.uploads", remedy="Check the token before the first message of a client's stream is awaited.")
async def uploads(trial: Trial) -> None:
    """An upload without the token is UNAUTHENTICATED."""
    header = pb.UploadHeader(connection_id=NOBODY, name="x")
    said = await (await trial.stranger()).upload([pb.UploadArtifactRequest(header=header)])
    _expect_unauthenticated(said if isinstance(said, Refusal) else None, UPLOAD)


@check("tokens.proof", remedy="Send initial metadata x-connector-token: <connector_token> with every answer.")
async def proof(trial: Trial) -> None:
    """Answers carry the connector's token."""
    await _expect_proof(trial, pb.DescribeRequest(), is_refused=False)


@check("tokens.proof_on_errors", remedy="Send the initial metadata before anything can fail.")
async def proof_on_errors(trial: Trial) -> None:
    """Calls that fail carry the connector's token, too."""
    await _expect_proof(trial, pb.GetJobStatusRequest(connection_id=NOBODY, platform_job_id="x"), is_refused=True)


@check("tokens.proof_on_streams", remedy="Send the initial metadata of a stream before its first message.")
async def proof_on_streams(trial: Trial) -> None:
    """Streams carry the connector's token, too."""
    await _expect_proof(trial, pb.StreamLogsRequest(connection_id=NOBODY, platform_job_id="x"), is_refused=True)


@check("tokens.kept", remedy="Send x-connector-token only once the caller has shown the gateway's token.")
async def kept(trial: Trial) -> None:
    """A caller without the gateway's token does not learn the connector's."""
    async with opened(await trial.stranger(), pb.DescribeRequest()) as call:
        expect(not await proof_of(call), "x-connector-token was sent to a stranger")


@check("tokens.health_open", remedy="Let grpc.health.v1.Health be called without a token.")
async def health_open(trial: Trial) -> None:
    """Health is answered without a token."""
    expect(await health.check((await trial.wire()).channel) == health.SERVING, "it is not SERVING")


@check("tokens.quiet", remedy="Say that the token is not accepted, and no more.")
async def quiet(trial: Trial) -> None:
    """The refusal of a stranger says something, and does not tell what was expected."""
    wire = await trial.wire()
    refusal = await (await trial.stranger()).refusal(pb.DescribeRequest())
    assert refusal
    expect(wire.metadata[0][1].removeprefix("Bearer ").encode() not in refusal.raw, "it has the token")
    advise(bool(refusal.message), "it has no message")


def _bearer(wire: Wire, token: str) -> Wire:
    return wire.with_metadata(("authorization", f"Bearer {token}"))


def _requests() -> Iterator[Message]:
    for name, method in METHODS.items():
        if name != UPLOAD:
            yield message_factory.GetMessageClass(method.input_type)()


async def _expect_stranger(wire: Wire) -> None:
    _expect_unauthenticated(await wire.refusal(pb.DescribeRequest()), "Describe")


def _expect_unauthenticated(refusal: Refusal | None, method: str) -> None:
    expect(refusal is not None, f"{method} was answered")
    assert refusal
    expect(refusal.code is grpc.StatusCode.UNAUTHENTICATED, str(refusal))


async def _expect_proof(trial: Trial, request: Message, *, is_refused: bool) -> None:
    expected, wire = await trial.proof(), await trial.wire()
    async with opened(wire, request, is_refused=is_refused) as call:
        found = await proof_of(call)
    expect(found == expected, "there is no x-connector-token" if not found else "x-connector-token is another")
