"""What a client sees of an exception in an author's code."""

import asyncio
import errno
import json
import logging
import socket
from collections.abc import Callable

import aiohttp
import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ResourceInfo, RetryInfo

import connector_sdk as sdk
from connector_sdk.testing import ConnectorHarness
from connectors.base import Resource, TrainingConfig
from peftstudio.connector.v1 import connector_service_pb2 as pb
from tests.support.sdk.required_connector import PlainConnector
from tests.support.sdk.rpc import SECONDS, Failure, failure

pytestmark = pytest.mark.wire

Raise = Callable[[], BaseException]


class FailingConnector(PlainConnector):
    """Fails as the test wants."""

    raises: Raise

    async def list_resources(self) -> list[Resource]:
        raise type(self).raises()


async def _failed(raises: Raise, api_key: str = "key") -> Failure:
    failing = type("Failing", (FailingConnector,), {"raises": staticmethod(raises)})
    async with ConnectorHarness(failing) as harness:
        await harness.connect({"api_key": api_key})
        return await failure(harness.stub.ListResources(pb.ListResourcesRequest(connection_id="c1"), timeout=SECONDS))


def _http(status: int) -> aiohttp.ClientResponseError:
    info = aiohttp.RequestInfo(url="http://x", method="GET", headers=None, real_url="http://x")  # type: ignore[arg-type]
    return aiohttp.ClientResponseError(info, (), status=status, message="said so")


def _wrapped(inner: BaseException, outer: BaseException, explicit: bool = False) -> BaseException:
    try:
        try:
            raise inner
        except BaseException as error:
            if explicit:
                raise outer from error
            raise outer  # noqa: B904 - as the guide's best practice does
    except BaseException as error:
        return error


@pytest.mark.parametrize(
    ("raises", "code", "reason"),
    [
        (lambda: sdk.RateLimitError("slow"), "RESOURCE_EXHAUSTED", "RATE_LIMITED"),
        (lambda: sdk.InsufficientCreditsError("poor"), "FAILED_PRECONDITION", "INSUFFICIENT_CREDITS"),
        (lambda: sdk.CredentialsRejectedError(), "UNAUTHENTICATED", "CREDENTIALS_REJECTED"),
        (lambda: sdk.ForbiddenError(), "PERMISSION_DENIED", "FORBIDDEN"),
        (lambda: sdk.NotReadyError(), "FAILED_PRECONDITION", "NOT_READY"),
        (lambda: sdk.NoCapacityError(), "RESOURCE_EXHAUSTED", "NO_CAPACITY"),
        (lambda: sdk.QuotaError(), "RESOURCE_EXHAUSTED", "QUOTA"),
        (lambda: sdk.ChecksumMismatchError(), "DATA_LOSS", "CHECKSUM_MISMATCH"),
        (lambda: sdk.CursorExpiredError(), "OUT_OF_RANGE", "CURSOR_EXPIRED"),
        (lambda: ValueError("bad"), "INVALID_ARGUMENT", "INVALID_CONFIG"),
        (lambda: ConnectionError("gone"), "UNAVAILABLE", "PLATFORM_UNAVAILABLE"),
        (lambda: ConnectionResetError("gone"), "UNAVAILABLE", "PLATFORM_UNAVAILABLE"),
        (lambda: TimeoutError("late"), "DEADLINE_EXCEEDED", "PLATFORM_TIMEOUT"),
        (lambda: FileNotFoundError(2, "no such file"), "NOT_FOUND", "NOT_FOUND"),
        (lambda: OSError(errno.ENOSPC, "full"), "RESOURCE_EXHAUSTED", "STORAGE_FULL"),
        (lambda: NotImplementedError("later"), "UNIMPLEMENTED", "UNSUPPORTED"),
        (lambda: KeyError("job_id"), "INTERNAL", "CONNECTOR_BUG"),
        (lambda: RuntimeError("Failed to list"), "INTERNAL", "CONNECTOR_BUG"),
        (lambda: json.JSONDecodeError("no", "x", 0), "INTERNAL", "BAD_UPSTREAM"),
        (lambda: aiohttp.ClientConnectionError("refused"), "UNAVAILABLE", "PLATFORM_UNAVAILABLE"),
        (lambda: aiohttp.ServerTimeoutError("late"), "DEADLINE_EXCEEDED", "PLATFORM_TIMEOUT"),
        (lambda: _http(401), "UNAUTHENTICATED", "CREDENTIALS_REJECTED"),
        (lambda: _http(402), "FAILED_PRECONDITION", "INSUFFICIENT_CREDITS"),
        (lambda: _http(404), "NOT_FOUND", "NOT_FOUND"),
        (lambda: _http(422), "INVALID_ARGUMENT", "INVALID_CONFIG"),
        (lambda: _http(409), "FAILED_PRECONDITION", "WRONG_STATE"),
        (lambda: _http(418), "INVALID_ARGUMENT", "INVALID_CONFIG"),
        (lambda: _http(408), "DEADLINE_EXCEEDED", "PLATFORM_TIMEOUT"),
        (lambda: _http(429), "RESOURCE_EXHAUSTED", "RATE_LIMITED"),
        (lambda: _http(503), "UNAVAILABLE", "PLATFORM_UNAVAILABLE"),
        (lambda: ExceptionGroup("g", [TimeoutError("late")]), "DEADLINE_EXCEEDED", "PLATFORM_TIMEOUT"),
        (lambda: _wrapped(sdk.RateLimitError("slow"), RuntimeError("failed")), "RESOURCE_EXHAUSTED", "RATE_LIMITED"),
        (
            lambda: _wrapped(aiohttp.ClientConnectionError("x"), RuntimeError("failed"), explicit=True),
            "UNAVAILABLE",
            "PLATFORM_UNAVAILABLE",
        ),
        (lambda: _wrapped(KeyError("x"), ConnectionError("net")), "UNAVAILABLE", "PLATFORM_UNAVAILABLE"),
    ],
)
async def test_an_exception_becomes_the_code_and_reason_of_the_table(raises: Raise, code: str, reason: str) -> None:
    failed = await _failed(raises)
    assert (failed.code.name, failed.reason, failed.info.domain) == (code, reason, "peftstudio")


def _connector_error() -> aiohttp.ClientConnectorError:
    key = aiohttp.client_reqrep.ConnectionKey("x", 1, False, True, None, None, None)
    return aiohttp.ClientConnectorError(key, ConnectionRefusedError(errno.ECONNREFUSED, "refused"))


@pytest.mark.parametrize(
    ("raises", "is_unsent"),
    [
        (lambda: ConnectionRefusedError(errno.ECONNREFUSED, "refused"), True),
        (lambda: socket.gaierror(socket.EAI_NONAME, "no such name"), True),
        (_connector_error, True),
        (lambda: _wrapped(_connector_error(), ConnectionError("Network: refused")), True),
        (lambda: _wrapped(_connector_error(), RuntimeError("Submission failed")), True),
        (lambda: ConnectionError("gone"), False),
        (lambda: ConnectionResetError(errno.ECONNRESET, "reset"), False),
        (lambda: aiohttp.ServerDisconnectedError(), False),
        (lambda: _wrapped(aiohttp.ServerDisconnectedError(), ConnectionError("Network: gone")), False),
        (lambda: _http(503), False),
        (lambda: sdk.PlatformUnavailableError("503"), False),
    ],
)
async def test_only_an_error_that_comes_before_a_connection_says_that_nothing_was_sent(
    raises: Raise, *, is_unsent: bool
) -> None:
    failed = await _failed(raises)
    assert failed.reason == "PLATFORM_UNAVAILABLE"
    assert (failed.info.metadata["unsent"] == "true") is is_unsent


async def test_a_rate_limit_says_when_to_come_back() -> None:
    failed = await _failed(lambda: sdk.RateLimitError("slow", retry_after=2.5))
    assert failed.get(RetryInfo).retry_delay.ToTimedelta().total_seconds() == 2.5


async def test_not_found_names_what_was_looked_for() -> None:
    failed = await _failed(lambda: sdk.NotFoundError(kind="job", name="j-1"))
    assert failed.message == "There is no job j-1."
    assert (failed.get(ResourceInfo).resource_type, failed.get(ResourceInfo).resource_name) == ("job", "j-1")


async def test_an_answer_that_nobody_understands_has_an_id_in_the_details_and_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed = await _failed(lambda: json.JSONDecodeError("no JSON", "<html>", 0))
    error_id = failed.info.metadata["error_id"]
    assert (failed.reason, len(error_id)) == ("BAD_UPSTREAM", 8)
    record = next(record for record in caplog.records if error_id in record.getMessage())
    assert record.exc_info


async def test_a_bug_shows_an_id_to_the_client_and_its_traceback_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    failed = await _failed(lambda: KeyError("internal detail"))
    error_id = failed.info.metadata["error_id"]
    assert len(error_id) == 8
    assert failed.message == f"The connector failed (KeyError). (error id {error_id})"
    record = next(record for record in caplog.records if error_id in record.getMessage())
    assert record.levelno == logging.ERROR
    assert record.exc_info


async def test_the_words_of_a_runtime_error_reach_the_user() -> None:
    assert (await _failed(lambda: RuntimeError("Job submission failed: no"))).message.startswith(
        "Job submission failed"
    )


async def test_credentials_are_redacted_from_messages_and_violations() -> None:
    key = "sk/very secret+key"
    failed = await _failed(lambda: ValueError(f"header {key} url sk%2Fvery%20secret%2Bkey"), key)
    assert failed.message == "header [redacted] url [redacted]"
    assert failed.get(BadRequest).field_violations[0].description == "header [redacted] url [redacted]"


async def test_credentials_of_a_failed_connect_are_redacted() -> None:
    class Leaky(PlainConnector):
        async def connect(self, credentials: dict[str, str]) -> bool:
            raise ConnectionError(f"no answer to {credentials['api_key']}")

    async with ConnectorHarness(Leaky) as harness:
        request = pb.ConnectRequest(connection_id="c1", credentials={"api_key": "very-secret"})
        failed = await failure(harness.stub.Connect(request, timeout=SECONDS))
    assert (failed.reason, failed.message) == ("PLATFORM_UNAVAILABLE", "no answer to [redacted]")


async def test_a_huge_message_is_cut_and_arrives() -> None:
    failed = await _failed(lambda: sdk.ForbiddenError("ä" * 100_000, metadata={"k": "v" * 9999}))
    assert failed.reason == "FORBIDDEN"
    assert len(failed.message.encode()) <= 1024
    assert failed.details_bytes <= 4096


async def test_many_violations_are_cut_to_what_can_travel() -> None:
    violations = [sdk.FieldViolation(field=f"f{index}", description="x" * 300) for index in range(100)]
    failed = await _failed(lambda: sdk.InvalidConfigError(violations))
    listed = failed.get(BadRequest).field_violations
    assert failed.details_bytes <= 4096
    assert listed[0].field == "f0"
    assert listed[-1].description == f"… and {100 - len(listed) + 1} more"


async def test_a_platforms_answer_that_fits_no_model_is_not_the_users_mistake() -> None:
    def mistake() -> BaseException:
        try:
            Resource.model_validate({"id": "x"})
        except ValueError as error:
            return error
        raise AssertionError

    assert (await _failed(mistake)).reason == "BAD_UPSTREAM"


async def test_a_config_that_an_author_builds_wrongly_names_its_fields() -> None:
    def mistake() -> BaseException:
        try:
            TrainingConfig.model_validate({"base_model": "m"})
        except ValueError as error:
            return error
        raise AssertionError

    assert (await _failed(mistake)).get(BadRequest).field_violations[0].field == "dataset_path"


async def test_a_cancellation_from_within_does_not_leave_the_client_waiting() -> None:
    class Cancelling(PlainConnector):
        async def list_resources(self) -> list[Resource]:
            raise asyncio.CancelledError

    async with ConnectorHarness(Cancelling) as harness:
        await harness.connect()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await harness.stub.ListResources(pb.ListResourcesRequest(connection_id="c1"), timeout=SECONDS)
    assert caught.value.code() is grpc.StatusCode.CANCELLED


@pytest.mark.parametrize("by_deadline", [True, False])
async def test_an_author_is_cancelled_when_the_client_no_longer_waits(by_deadline: bool) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    class Slow(PlainConnector):
        async def list_resources(self) -> list[Resource]:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return []

    async with ConnectorHarness(Slow) as harness, asyncio.timeout(SECONDS):
        await harness.connect()
        request = pb.ListResourcesRequest(connection_id="c1")
        call = harness.stub.ListResources(request, timeout=0.2 if by_deadline else SECONDS)
        running = asyncio.ensure_future(call)
        await started.wait()
        if not by_deadline:
            call.cancel()
        await ended.wait()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await running
