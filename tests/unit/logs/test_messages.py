"""What followers are sent: whole messages, made once for all of them, and large ones only for so many at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.logs.follower import Follower, Part
from gateway.logs.messages import LARGE_BYTES, MOST_KEPT_BYTES, MOST_LARGE, Messages
from gateway.logs.query import After
from gateway.logs.store import JobLog, LogStore
from gateway.logs.wire import MESSAGE_BYTES, LogLine, StreamLogsResponse
from tests.unit.logs.test_collector import unknown
from tests.unit.logs.test_follower import write

pytestmark = pytest.mark.unit


def write_some(log: JobLog, count: int) -> None:
    """Add lines of which some thirty fill a message."""
    for _ in range(count):
        write(log, [LogLine(text="x" * 1000)])


async def parts_of(log: JobLog) -> list[Part]:
    return [part async for part in Follower(log, After(), None, unknown).read()]


async def test_followers_of_one_log_are_sent_the_very_same_bytes(tmp_path: Path) -> None:
    with LogStore(tmp_path).open("job") as log:
        write_some(log, 300)
        first, second = [await parts_of(log) for _ in range(2)]
        assert [part.data for part in first] == [part.data for part in second]
        assert all(one.data is other.data for one, other in zip(first, second, strict=True))


async def test_a_message_says_itself_how_to_continue_behind_it(tmp_path: Path) -> None:
    with LogStore(tmp_path).open("job") as log:
        write_some(log, 300)
        *whole, last = await parts_of(log)
        assert last.is_last
        messages = [StreamLogsResponse.FromString(part.data) for part in whole]
        assert all(part.is_whole for part in whole)
        assert [message.next_after_seq for message in messages] == [message.lines[-1].seq for message in messages]
        assert [line.seq for message in messages for line in message.lines] == list(range(1, 301))


async def test_who_is_far_behind_gets_larger_messages_after_the_first(tmp_path: Path) -> None:
    with LogStore(tmp_path).open("job") as log:
        write_some(log, 400)
        first, second, *_ = [len(part.data) for part in await parts_of(log)]
        assert first <= MESSAGE_BYTES + 8
        assert MESSAGE_BYTES < second <= LARGE_BYTES + 8


async def test_who_keeps_up_gets_what_comes_and_nothing_of_before(tmp_path: Path) -> None:
    with LogStore(tmp_path).open("job") as log:
        write_some(log, 3)
        follower = Follower(log, After(), None, unknown).follow()
        assert StreamLogsResponse.FromString((await anext(follower)).data).next_after_seq == 3
        write_some(log, 2)
        log.changed.notify()
        came = StreamLogsResponse.FromString((await anext(follower)).data)
        assert [line.seq for line in came.lines] == [4, 5]
        await follower.aclose()


async def test_no_more_than_so_many_hold_large_messages_and_who_leaves_makes_room(tmp_path: Path) -> None:
    with LogStore(tmp_path).open("job") as log:
        write_some(log, 400)
        stuck = [Follower(log, After(), None, unknown).follow() for _ in range(MOST_LARGE)]
        for follower in stuck:
            assert len([await anext(follower), await anext(follower)][1].data) > MESSAGE_BYTES + 8
        assert max(len(part.data) for part in await parts_of(log)) <= MESSAGE_BYTES + 8
        await stuck[0].aclose()
        assert max(len(part.data) for part in await parts_of(log)) > MESSAGE_BYTES + 8
        for follower in stuck:
            await follower.aclose()


def test_messages_that_are_kept_take_bounded_memory(tmp_path: Path) -> None:
    messages = Messages()
    with LogStore(tmp_path).open("job") as log:
        for _ in range(MOST_KEPT_BYTES // LARGE_BYTES * 2):
            write(log, [LogLine(text="x" * 1000)] * 128)
        spots = [log.segments.locate(seq) for seq in range(0, log.segments.mark.last_seq, 100)]
        found = [messages.read("job", log.segments, spot, is_large=True) for spot in spots]
        again = [messages.read("job", log.segments, spot, is_large=True) for spot in reversed(spots)]
    kept = [run for run, before in zip(again, reversed(found), strict=True) if run is before and run]
    assert 0 < sum(len(run.data) for run in kept) <= MOST_KEPT_BYTES
    assert found == again[::-1]


def test_what_is_kept_of_one_log_is_not_given_for_another(tmp_path: Path) -> None:
    store = LogStore(tmp_path)
    with store.open("one") as one, store.open("two") as two:
        write(one, [LogLine(text="one")])
        write(two, [LogLine(text="two")])
        start = one.segments.locate(0)
        for log, text in ((one, "one"), (two, "two"), (one, "one")):
            run = log.read(start)
            assert run
            assert [line.text for line in StreamLogsResponse.FromString(run.data).lines] == [text]


def test_lines_that_were_deleted_meanwhile_are_told_as_missing_although_they_were_kept(tmp_path: Path) -> None:
    messages = Messages()
    with LogStore(tmp_path).open("job") as log:
        segments = log.segments
        write_some(log, 3)
        start = segments.locate(0)
        assert (run := messages.read("job", segments, start))
        assert not run.missing_from
        segments.drop_older(2.0**40)
        assert (run := messages.read("job", segments, start))
        assert run.missing_from == 1
