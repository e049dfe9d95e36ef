"""Connections and their credentials."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from connector_sdk.conformance.check import SkippedCheck, advise, check, expect
from connector_sdk.conformance.forms import required_names, secret_names, secrets_in
from connector_sdk.conformance.methods import OPTIONAL, REQUIRED
from connector_sdk.conformance.refusal import Refusal
from connector_sdk.conformance.trial import Trial
from connector_sdk.conformance.wire import Wire
from peftstudio.connector.v1 import connector_service_pb2 as pb

MANY = 8
UNREACHED = frozenset({"PLATFORM_UNAVAILABLE", "PLATFORM_TIMEOUT"})


@check(
    "connections.before", remedy="Answer FAILED_PRECONDITION / NOT_CONNECTED for a connection that is not open here."
)
async def before(trial: Trial) -> None:
    """Before Connect, every method of a connection answers NOT_CONNECTED."""
    wire, said = await trial.wire(), await trial.description()
    for request in _requests("conformance-closed", frozenset(said.capabilities)):
        _expect_not_connected(await wire.refusal(request), type(request).__name__)


@check("connections.upload_before", remedy="Look at the header of an upload before you read its bytes.")
async def upload_before(trial: Trial) -> None:
    """Before Connect, an upload answers NOT_CONNECTED."""
    header = pb.UploadHeader(connection_id="conformance-closed", name="x.bin", size=0)
    said = await (await trial.wire()).upload([pb.UploadArtifactRequest(header=header)])
    _expect_not_connected(said if isinstance(said, Refusal) else None, "UploadArtifact")


@check("connections.opens", remedy="See that the credentials in --credentials-file are right, and what the error says.")
async def opens(trial: Trial) -> None:
    """Connect with accepted credentials opens a connection."""
    await trial.connection()


@check(
    "connections.verified", remedy="Ask the platform in VerifyConnection, and answer when it accepts the credentials."
)
async def verified(trial: Trial) -> None:
    """VerifyConnection confirms credentials that are accepted."""
    request = pb.VerifyConnectionRequest(connection_id=await trial.connection())
    await (await trial.wire()).ask(request, pb.VerifyConnectionResponse)


@check("connections.twice", remedy="A second Connect replaces the first: gateways send one whenever they are in doubt.")
async def twice(trial: Trial) -> None:
    """Connect of an open connection opens it again."""
    await trial.connection()
    await (await trial.wire()).ask(await trial.connect_request(), pb.ConnectResponse)
    await verified.body(trial)


@check("connections.account", remedy="An account is a user's or organisation's name; never a part of a key.")
async def account(trial: Trial) -> None:
    """The account's name has no credential in it."""
    await trial.connection()
    said = await (await trial.wire()).ask(await trial.connect_request(), pb.ConnectResponse)
    secrets = secrets_in((await trial.description()).credentials_schema, trial.options.credentials.accepted)
    values = [value for value in secrets.values() if value]
    expect(not any(value in said.account for value in values), "the account's name has a credential in it")


@check("connections.unknown_closed", remedy="Answer Disconnect of a connection that is not open as if it had been.")
async def unknown_closed(trial: Trial) -> None:
    """Disconnect of a connection that was never open is no error."""
    request = pb.DisconnectRequest(connection_id="conformance-never")
    await (await trial.wire()).ask(request, pb.DisconnectResponse)


@check("connections.closed_twice", remedy="Disconnect may be repeated: its answer may have been lost.")
async def closed_twice(trial: Trial) -> None:
    """Disconnect closes the connection, and may be repeated."""
    wire = await trial.wire()
    await wire.ask(await trial.connect_request("conformance-2"), pb.ConnectResponse)
    for _ in range(2):
        await wire.ask(pb.DisconnectRequest(connection_id="conformance-2"), pb.DisconnectResponse)
    refusal = await wire.refusal(pb.VerifyConnectionRequest(connection_id="conformance-2"))
    _expect_not_connected(refusal, "VerifyConnection behind Disconnect")


@check("connections.apart", remedy="Keep the state of each connection by its id, and nothing in globals.")
async def apart(trial: Trial) -> None:
    """Closing one connection leaves the others open."""
    wire = await trial.wire()
    ids = [f"conformance-{number}" for number in range(10, 10 + MANY)]
    requests = [await trial.connect_request(connection_id) for connection_id in ids]
    await asyncio.gather(*(wire.ask(request, pb.ConnectResponse) for request in requests))
    await wire.ask(pb.DisconnectRequest(connection_id=ids[0]), pb.DisconnectResponse)
    try:
        for connection_id in ids[1:]:
            await wire.ask(pb.VerifyConnectionRequest(connection_id=connection_id), pb.VerifyConnectionResponse)
    finally:
        for connection_id in ids:
            await wire.ask(pb.DisconnectRequest(connection_id=connection_id), pb.DisconnectResponse)


@check("connections.incomplete", remedy="Name every credential that is missing: INVALID_CONFIG with BadRequest.")
async def incomplete(trial: Trial) -> None:
    """Connect without a required credential is refused, and the missing one named."""
    required = await _required(trial)
    refusal = await (await trial.wire()).refusal(pb.ConnectRequest(connection_id="conformance-3"))
    expect(refusal is not None, "it was accepted")
    assert refusal
    expect(refusal.code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAUTHENTICATED), str(refusal))
    fields = [item.field for bad in refusal.details(error_details_pb2.BadRequest) for item in bad.field_violations]
    unnamed = [name for name in required if not any(name in told for told in (*fields, refusal.message))]
    advise(not unnamed, f"{', '.join(unnamed)} is not named: {refusal}")


@check("connections.rejected", remedy="Ask the platform in Connect, and answer CREDENTIALS_REJECTED when it refuses.")
async def rejected(trial: Trial) -> None:
    """Credentials that the platform refuses are answered with CREDENTIALS_REJECTED."""
    refusal = await _rejection(trial, await trial.wire())
    expect(refusal is not None, "they were accepted; if they are, give others under `rejected` in --credentials-file")
    assert refusal
    expect(refusal.reason in ("CREDENTIALS_REJECTED", "INVALID_CONFIG", "FORBIDDEN"), str(refusal))
    advise(refusal.reason == "CREDENTIALS_REJECTED", str(refusal))


@check("connections.rejected_closed", remedy="Keep a connection only once its credentials were accepted.")
async def rejected_closed(trial: Trial) -> None:
    """Behind rejected credentials, the connection is not open."""
    wire = await trial.wire()
    if await _rejection(trial, wire) is None:
        raise SkippedCheck("the credentials were accepted")
    refusal = await wire.refusal(pb.VerifyConnectionRequest(connection_id="conformance-4"))
    _expect_not_connected(refusal, "VerifyConnection")


async def _rejection(trial: Trial, wire: Wire) -> Refusal | None:
    given = trial.options.credentials
    wrong = given.rejected or {**given.accepted, **dict.fromkeys(await _secret_names(trial), trial.canary)}
    missing = set(required_names((await trial.description()).credentials_schema)) - set(wrong)
    if missing:
        raise SkippedCheck(f"needs credentials ({', '.join(sorted(missing))}): give --credentials-file")
    refusal = await wire.refusal(pb.ConnectRequest(connection_id="conformance-4", credentials=wrong))
    if refusal is not None and refusal.reason in UNREACHED:
        raise SkippedCheck(f"the platform cannot be reached: {refusal}")
    return refusal


async def _secret_names(trial: Trial) -> list[str]:
    found = secret_names((await trial.description()).credentials_schema)
    if not found:
        raise SkippedCheck("it takes no secret")
    return found


async def _required(trial: Trial) -> list[str]:
    names = required_names((await trial.description()).credentials_schema)
    if not names:
        raise SkippedCheck("it requires no credentials")
    return names


def _requests(connection_id: str, capabilities: frozenset[str]) -> Iterator[Message]:
    """Make a request of every method that is there, for this connection."""
    yield pb.SubmitJobRequest(connection_id=connection_id)
    for name, make in {**REQUIRED, **OPTIONAL}.items():
        if name in REQUIRED or name in capabilities:
            yield make(connection_id, "x")


def _expect_not_connected(refusal: Refusal | None, method: str) -> None:
    expect(refusal is not None, f"{method} was answered")
    assert refusal
    is_right = refusal.code is grpc.StatusCode.FAILED_PRECONDITION and refusal.reason == "NOT_CONNECTED"
    expect(is_right, str(refusal))
