"""StreamLogs: lines, batches, cursors, signs of life and ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from connector_sdk import LogRecord
from connector_sdk._log_stream import HEARTBEAT_SECONDS, LogStreams
from connector_sdk.conformance.checks.logs import SILENCE_SECONDS
from connector_sdk.testing import ConnectorHarness
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1 import log_pb2
from tests.support.sdk.required_connector import PlainConnector
from tests.support.sdk.rpc import SECONDS, failure

pytestmark = pytest.mark.wire

REQUEST = pb.StreamLogsRequest(connection_id="c1", platform_job_id="1")


def _connector(log: Callable[[], AsyncIterator[str]], status: str = "completed") -> type[PlainConnector]:
    class Logging(PlainConnector):
        async def get_job_status(self, job_id: str) -> str:
            return status

        def stream_logs(self, job_id: str) -> AsyncIterator[str]:
            return log()

    return Logging


async def _read(
    connector: type[PlainConnector], request: pb.StreamLogsRequest = REQUEST
) -> list[pb.StreamLogsResponse]:
    async with ConnectorHarness(connector) as harness:
        await harness.connect()
        return [message async for message in harness.stub.StreamLogs(request, timeout=SECONDS)]


def _texts(messages: list[pb.StreamLogsResponse]) -> list[str]:
    return [line.text for message in messages for line in message.lines]


async def test_lines_are_numbered_from_one_and_the_end_is_said() -> None:
    messages = await _read(PlainConnector)
    lines = [(line.seq, line.text) for message in messages for line in message.lines]
    assert lines == [(1, "first"), (2, "second")]
    assert [message.end for message in messages] == [False, True]


async def test_a_replay_starts_at_the_first_line_whatever_was_read_before() -> None:
    request = pb.StreamLogsRequest(connection_id="c1", platform_job_id="1", cursor="9", after_line=1)
    assert _texts(await _read(PlainConnector, request)) == ["first", "second"]


async def test_a_log_that_gives_only_what_comes_is_declared_and_its_lines_have_no_numbers() -> None:
    class Tail(PlainConnector):
        log_source = "tail_only"

    async with ConnectorHarness(Tail) as harness:
        await harness.connect()
        said = await harness.stub.Describe(pb.DescribeRequest(), timeout=SECONDS)
        messages = [message async for message in harness.stub.StreamLogs(REQUEST, timeout=SECONDS)]
    assert said.log_source == pb.LOG_SOURCE_TAIL_ONLY
    assert [(line.seq, line.text) for message in messages for line in message.lines] == [(0, "first"), (0, "second")]


async def test_a_log_that_stops_before_its_job_has_ended_is_a_cut() -> None:
    async def log() -> AsyncIterator[str]:
        yield "line"

    messages = await _read(_connector(log, "running"))
    assert _texts(messages) == ["line"]
    assert not any(message.end for message in messages)


async def test_many_lines_travel_in_few_messages_and_in_order() -> None:
    async def log() -> AsyncIterator[str]:
        for number in range(10_000):
            yield f"line {number}"

    messages = await _read(_connector(log))
    assert _texts(messages) == [f"line {number}" for number in range(10_000)]
    assert len(messages) < 10_000 / 500
    assert max(message.ByteSize() for message in messages) <= 32 * 1024


async def test_long_lines_fill_a_message_by_their_bytes() -> None:
    async def log() -> AsyncIterator[str]:
        for _ in range(64):
            yield "x" * 20_000

    assert max(len(message.lines) for message in await _read(_connector(log))) == 2


async def test_a_line_over_64_kib_is_cut_and_marked() -> None:
    async def log() -> AsyncIterator[str]:
        yield "ä" * 64 * 1024
        yield "x" * 64 * 1024

    long, whole = (line for message in await _read(_connector(log)) for line in message.lines)
    assert (len(long.text.encode()), long.truncated) == (64 * 1024, True)
    assert (len(whole.text), whole.truncated) == (64 * 1024, False)


async def test_odd_items_become_valid_lines() -> None:
    async def log() -> AsyncIterator[str]:
        yield "a\nb\r\nc"
        yield ""
        yield "null \x00 lone \ud800"
        yield b"bytes \xff"  # type: ignore[misc]
        yield 5  # type: ignore[misc]

    assert _texts(await _read(_connector(log))) == ["a", "b", "c", "", "null \x00 lone ?", "bytes �", "5"]


async def test_a_progress_bar_is_folded_to_its_last_state() -> None:
    async def log() -> AsyncIterator[str]:
        yield " 10%\r 50%\r100%\n"
        for share in (10, 50, 100):
            yield f"\r{share} of 100"
        yield "done"

    assert _texts(await _read(_connector(log))) == ["100%", "100 of 100", "done"]


async def test_a_quiet_log_gives_signs_of_life() -> None:
    async def log() -> AsyncIterator[str]:
        yield "line"
        await asyncio.Event().wait()

    async with ConnectorHarness(_connector(log), heartbeat_seconds=0.02) as harness:
        await harness.connect()
        call = harness.stub.StreamLogs(REQUEST, timeout=SECONDS)
        messages = [await call.read() for _ in range(4)]
        call.cancel()
    assert _texts(messages[:1]) == ["line"]  # type: ignore[arg-type]
    assert all(message == pb.StreamLogsResponse() for message in messages[1:])


def test_a_sign_of_life_that_is_late_is_still_within_what_the_protocol_allows() -> None:
    assert HEARTBEAT_SECONDS <= SILENCE_SECONDS / 2


async def test_a_line_does_not_wait_long_for_company() -> None:
    async def log() -> AsyncIterator[str]:
        yield "early"
        await asyncio.Event().wait()

    async with ConnectorHarness(_connector(log)) as harness, asyncio.timeout(2):
        await harness.connect()
        call = harness.stub.StreamLogs(REQUEST, timeout=SECONDS)
        first = await call.read()
        call.cancel()
    assert _texts([first]) == ["early"]  # type: ignore[list-item]


async def test_what_a_full_message_leaves_behind_does_not_wait_either() -> None:
    async def log() -> AsyncIterator[str]:
        for _ in range(10):
            yield "x" * 10_000
        await asyncio.Event().wait()

    lines = 0
    async with ConnectorHarness(_connector(log)) as harness, asyncio.timeout(2):
        await harness.connect()
        call = harness.stub.StreamLogs(REQUEST, timeout=SECONDS)
        while lines < 10:
            lines += len((await call.read()).lines)  # type: ignore[attr-defined]
        call.cancel()
    assert lines == 10


async def test_a_progress_bar_that_is_drawn_on_and_on_gives_signs_of_life() -> None:
    async def log() -> AsyncIterator[str]:
        while True:
            yield "\r 50%"
            await asyncio.sleep(0)

    async with ConnectorHarness(_connector(log), heartbeat_seconds=0.02) as harness, asyncio.timeout(SECONDS):
        await harness.connect()
        call = harness.stub.StreamLogs(REQUEST, timeout=SECONDS)
        assert [await call.read() for _ in range(3)] == [pb.StreamLogsResponse()] * 3
        call.cancel()


async def test_an_author_is_closed_when_the_client_goes_away() -> None:
    closed = asyncio.Event()

    async def log() -> AsyncIterator[str]:
        try:
            while True:
                yield "line"
                await asyncio.sleep(0)
        finally:
            closed.set()

    async with ConnectorHarness(_connector(log)) as harness, asyncio.timeout(SECONDS):
        await harness.connect()
        call = harness.stub.StreamLogs(REQUEST, timeout=SECONDS)
        await call.read()
        call.cancel()
        await closed.wait()


async def test_a_log_that_is_cut_before_its_author_was_asked_ends_at_once() -> None:
    streams = LogStreams(SECONDS)
    messages = streams.stream(PlainConnector(), "1", "")
    first = asyncio.ensure_future(anext(messages, None))
    await asyncio.sleep(0)
    streams.cut()
    async with asyncio.timeout(SECONDS / 2):
        assert await first is None


async def test_a_slow_reader_stops_the_author() -> None:
    written = 0

    async def log() -> AsyncIterator[str]:
        nonlocal written
        while True:
            written += 1
            yield "x" * 10_000

    async with ConnectorHarness(_connector(log)) as harness:
        await harness.connect()
        call = harness.stub.StreamLogs(REQUEST, timeout=SECONDS)
        await call.read()
        before = -1
        while before != written:  # until a round trip finds that nothing more was written
            before = written
            for _ in range(20):
                await harness.stub.Describe(pb.DescribeRequest(), timeout=SECONDS)
        call.cancel()
    assert written < 2_000


async def test_an_error_in_the_log_comes_behind_the_lines_before_it() -> None:
    async def log() -> AsyncIterator[str]:
        yield "line"
        raise ConnectionError("socket closed")

    lines: list[str] = []
    async with ConnectorHarness(_connector(log)) as harness:
        await harness.connect()
        call = harness.stub.StreamLogs(REQUEST, timeout=SECONDS)
        lines = _texts([await call.read()])  # type: ignore[list-item]
        assert (await failure(call)).reason == "PLATFORM_UNAVAILABLE"
    assert lines == ["line"]


async def test_a_log_given_as_a_promise_of_an_iterator_is_read_too() -> None:
    class Promising(PlainConnector):
        async def stream_logs(self, job_id: str) -> AsyncIterator[str]:  # type: ignore[override]
            return super().stream_logs(job_id)

    assert _texts(await _read(Promising)) == ["first", "second"]


class CursorConnector(PlainConnector):
    """Continues its log anywhere."""

    def stream_logs_from(self, job_id: str, cursor: str) -> AsyncIterator[LogRecord]:
        return self._records(int(cursor or 0))

    async def _records(self, start: int) -> AsyncIterator[LogRecord]:
        for number in range(start, 5):
            yield LogRecord(
                text=f"line {number}",
                cursor=str(number + 1),
                stream="stderr",
                level="warn",
                rank=number,
                attempt=2,
                time=datetime(2026, 1, 1, tzinfo=UTC),
            )


async def test_a_log_with_cursors_continues_behind_one() -> None:
    async with ConnectorHarness(CursorConnector) as harness:
        assert (await harness.stub.Describe(pb.DescribeRequest(), timeout=SECONDS)).log_source == pb.LOG_SOURCE_CURSOR
    messages = await _read(CursorConnector)
    assert _texts(messages) == [f"line {number}" for number in range(5)]
    assert messages[0].cursor == "5"
    request = pb.StreamLogsRequest(connection_id="c1", platform_job_id="1", cursor="3")
    assert _texts(await _read(CursorConnector, request)) == ["line 3", "line 4"]


async def test_what_a_record_knows_of_its_line_arrives() -> None:
    line = (await _read(CursorConnector))[0].lines[3]
    assert (line.stream, line.level) == (log_pb2.LOG_STREAM_STDERR, log_pb2.LOG_LEVEL_WARNING)
    assert (line.seq, line.rank, line.attempt) == (0, 3, 2)
    assert line.time.ToDatetime() == datetime(2026, 1, 1)


async def test_a_record_of_many_lines_is_not_torn_from_its_cursor() -> None:
    class Blocks(PlainConnector):
        async def stream_logs_from(self, job_id: str, cursor: str) -> AsyncIterator[LogRecord]:
            for number in range(3):
                yield LogRecord(text="\n".join(["x" * 1000] * 100), cursor=str(number))

    messages = await _read(Blocks)
    assert [len(message.lines) for message in messages if message.lines] == [100, 100, 100]
    assert [message.cursor for message in messages] == ["0", "1", "2", ""]


async def test_a_record_that_cannot_be_written_comes_behind_those_before_it_and_not_in_part() -> None:
    class Odd(PlainConnector):
        async def stream_logs_from(self, job_id: str, cursor: str) -> AsyncIterator[LogRecord]:
            yield LogRecord(text="good", cursor="1")
            yield LogRecord(text="no such rank", rank=2**40, cursor="2")

    async with ConnectorHarness(Odd) as harness:
        await harness.connect()
        call = harness.stub.StreamLogs(REQUEST, timeout=SECONDS)
        first = await call.read()
        await failure(call)
    assert first == pb.StreamLogsResponse(
        lines=[log_pb2.LogLine(text="good", stream=log_pb2.LOG_STREAM_STDOUT, attempt=1)], cursor="1"
    )


async def test_records_of_any_content_become_valid_lines() -> None:
    class Odd(PlainConnector):
        async def stream_logs_from(self, job_id: str, cursor: str) -> AsyncIterator[LogRecord]:
            for text in ("", "a\nb", "1%\r2%", "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace")):
                yield LogRecord(text=text)
            yield LogRecord(text="ä" * 64 * 1024)

    *short, long = (line for message in await _read(Odd) for line in message.lines)
    assert [line.text for line in short] == ["", "a", "b", "2%", "\ufffd" * 3]
    assert (len(long.text.encode()), long.truncated) == (64 * 1024, True)


async def test_sixty_four_logs_are_followed_at_a_time() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        await harness.connect()

        async def texts() -> list[str]:
            return _texts([message async for message in harness.stub.StreamLogs(REQUEST, timeout=SECONDS)])

        assert await asyncio.gather(*(texts() for _ in range(64))) == [["first", "second"]] * 64
