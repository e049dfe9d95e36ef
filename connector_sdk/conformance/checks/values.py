"""Odd and big values: they are refused or taken, and never a bug."""

from __future__ import annotations

import grpc
from google.protobuf.message import Message

from connector_sdk._contract import SERVICE
from connector_sdk.conformance.check import advise, check, expect
from connector_sdk.conformance.methods import REQUIRED
from connector_sdk.conformance.trial import Trial
from connector_sdk.conformance.wire import CALL_SECONDS
from connector_sdk.conformance.work import new_token, submission
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1.training_config_pb2 import TrainingConfig

Raw = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]

LONG = 64 * 1024
BUGS = frozenset({"CONNECTOR_BUG", "GATEWAY_BUG"})
UNKNOWN_FIELD = b"\xfa\x3e\x04\xf0\x9f\x98\x80"  # field 1007 with an emoji
LARGE_BYTES = 3 * 1024 * 1024  # gRPC takes 4 MiB unless it is told otherwise
TOO_LARGE_BYTES = 5 * 1024 * 1024
REMEDY = "Pass ids on as they are, quoted for where they go, and answer NOT_FOUND or INVALID_CONFIG."


@check("values.unicode", remedy=REMEDY)
async def unicode(trial: Trial) -> None:
    """An id of emoji, accents and right-to-left text is refused like any other that is not there."""
    await _expect_refused(trial, "\N{GRINNING FACE}\N{SLOTH}é\N{HEBREW LETTER ALEF}\N{ZERO WIDTH JOINER}")


@check("values.empty", remedy=REMEDY)
async def empty(trial: Trial) -> None:
    """An empty id is refused."""
    await _expect_refused(trial, "")


@check("values.long", remedy="Refuse ids that are too long for the platform, and cut them in messages.")
async def long(trial: Trial) -> None:
    """An id of 64 KiB is refused."""
    await _expect_refused(trial, "x" * LONG)


@check("values.paths", remedy="Never make a path or a URL of an id without quoting it: ids come from elsewhere.")
async def paths(trial: Trial) -> None:
    """An id that would be a way out of a folder or a URL is refused."""
    for name in ("../../../etc/passwd", "/etc/passwd", "a/../..", "x?y=z#w", "."):
        await _expect_refused(trial, name)


@check("values.control", remedy=REMEDY)
async def control(trial: Trial) -> None:
    """An id with line ends and a NUL is refused."""
    await _expect_refused(trial, "a\r\nHost: b\x00c")


@check("values.unknown_fields", remedy="Use a protobuf library, and ignore fields that you do not know.")
async def unknown_fields(trial: Trial) -> None:
    """Requests with fields of a newer contract are taken."""
    wire = await trial.wire()
    request = pb.DescribeRequest.FromString(UNKNOWN_FIELD)
    expect(request.SerializeToString() == UNKNOWN_FIELD, "the request lost its field on the way")
    await wire.ask(request, pb.DescribeResponse)
    job = await trial.connect_request()
    job.MergeFromString(UNKNOWN_FIELD)
    await trial.connection()
    await wire.ask(job, pb.ConnectResponse)


@check("values.config", remedy="Pass texts on as they are; refuse what the platform cannot take with INVALID_CONFIG.")
async def config(trial: Trial) -> None:
    """A configuration with emoji, 64 KiB of text and options of every kind is taken or refused, with dry_run."""
    await trial.capable_of("dry_run")
    odd = TrainingConfig(base_model="\N{SLOTH}" * 100, dataset_path="x" * LONG, project_name="\x01\u202e")
    odd.options.update({"text": "\N{SLOTH}", "none": None, "list": [1, {"a": []}], "big": 1e308})
    request = submission(await trial.connection(), new_token(), odd, dry_run=True)
    refusal = await (await trial.wire()).refusal(request)
    expect(refusal is None or refusal.reason not in BUGS, str(refusal))


@check("values.credentials", remedy="Refuse credentials that cannot be sent anywhere with CREDENTIALS_REJECTED.")
async def credentials(trial: Trial) -> None:
    """Credentials with emoji, line ends and 64 KiB of text are answered, and not with a bug."""
    await trial.description()
    names = list((await trial.connect_request()).credentials) or ["api_key"]
    values = dict.fromkeys(names, "\N{SLOTH}\r\nX: y" + "k" * LONG)
    request = pb.ConnectRequest(connection_id="conformance-5", credentials=values)
    wire = await trial.wire()
    refusal = await wire.refusal(request)
    await wire.ask(pb.DisconnectRequest(connection_id="conformance-5"), pb.DisconnectResponse)
    advise(refusal is None or refusal.reason not in BUGS, str(refusal))


@check("values.metadata", remedy="Ignore metadata that you do not know.")
async def metadata(trial: Trial) -> None:
    """A call with metadata of a newer gateway is answered."""
    wire = await trial.wire()
    more = wire.with_metadata(*wire.metadata, ("x-conformance", "v" * 4096), ("x-conformance-id", "1"))
    await more.ask(pb.DescribeRequest(), pb.DescribeResponse)


@check("values.large", remedy="Leave gRPC's limit of received messages at 4 MiB or above.")
async def large(trial: Trial) -> None:
    """A request of 3 MiB is read."""
    refusal = await (await trial.wire()).refusal(_sized(LARGE_BYTES))
    is_read = refusal is None or refusal.code is not grpc.StatusCode.RESOURCE_EXHAUSTED
    expect(is_read, str(refusal))


@check("values.too_large", remedy="Keep a limit of received messages: gRPC's own is 4 MiB.")
async def too_large(trial: Trial) -> None:
    """A request of 5 MiB is refused, or read, and the connector serves on."""
    wire = await trial.wire()
    refusal = await wire.refusal(_sized(TOO_LARGE_BYTES))
    await wire.ask(pb.DescribeRequest(), pb.DescribeResponse)
    advise(refusal is not None, "it has no limit")


@check("values.broken", remedy="Use a protobuf library; its parser's error becomes INTERNAL or INVALID_ARGUMENT.")
async def broken(trial: Trial) -> None:
    """A request that is no protobuf is refused, and the connector serves on."""
    wire = await trial.wire()
    call: Raw = wire.channel.unary_unary(f"/{SERVICE}/GetJobStatus")
    try:
        await call(b"\xff\xff\xff\xff", timeout=CALL_SECONDS, metadata=wire.metadata)
        expect(False, "it was answered")
    except grpc.aio.AioRpcError as error:
        is_refused = error.code() not in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
        expect(is_refused, f"it ended with {error.code().name}")
    await wire.ask(pb.DescribeRequest(), pb.DescribeResponse)


@check("values.unknown_method", remedy="Leave methods that you do not know to gRPC: UNIMPLEMENTED.")
async def unknown_method(trial: Trial) -> None:
    """A method of a newer contract is UNIMPLEMENTED."""
    wire = await trial.wire()
    call: Raw = wire.channel.unary_unary(f"/{SERVICE}/NoSuchMethod")
    try:
        await call(b"", timeout=CALL_SECONDS, metadata=wire.metadata)
        expect(False, "it was answered")
    except grpc.aio.AioRpcError as error:
        expect(error.code() is grpc.StatusCode.UNIMPLEMENTED, f"it ended with {error.code().name}")


def _sized(size_bytes: int) -> Message:
    return pb.DisconnectRequest(connection_id="x" * size_bytes)


async def _expect_refused(trial: Trial, name: str) -> None:
    connection, wire = await trial.connection(), await trial.wire()
    for method in ("get_job_status", "stream_logs", "list_artifacts"):
        refusal = await wire.refusal(REQUIRED[method](connection, name))
        expect(refusal is not None, f"{method} of {name[:40]!r} was answered")
        assert refusal
        expect(refusal.code is not grpc.StatusCode.DEADLINE_EXCEEDED, f"{method} has no answer")
        advise(refusal.reason not in BUGS, f"{name[:40]!r}: {refusal}")
