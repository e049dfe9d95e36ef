"""Sources that start again at their first line, faithfully or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError, Reason
from gateway.jobs.model import JobState
from gateway.logs import alignment
from gateway.logs import collector as module
from gateway.logs.alignment import CUT, ENOUGH, LOST
from gateway.logs.follower import Follower
from gateway.logs.query import After
from gateway.logs.segments import Segments
from gateway.logs.store import Ending, JobLog, LogStore
from gateway.logs.wire import LogLine, StreamLogsResponse
from gateway.platform import SourceBatch
from gateway.plugins.model import LogSource
from tests.support.log_source import LoggingPlatform
from tests.unit.logs.test_collector import collect, collector, unknown

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_SECONDS", 0.0)
    monkeypatch.setattr(module, "MAX_DELAY_SECONDS", 0.0)


@dataclass
class Rewritten(LoggingPlatform):
    """A platform whose log is another one in each stream; each has a last line that it is cut behind."""

    streams: list[list[str]] = field(default_factory=list)
    """What each stream gives before it is cut; the last one is given to its end, and ever again."""
    source: LogSource = LogSource.REPLAY
    refuses_cursors: bool = False

    async def logs(self, platform_job_id: str, *, cursor: str, after_line: int) -> AsyncGenerator[SourceBatch, None]:
        self.calls.append(f"logs {cursor}")
        if self.refuses_cursors and (cursor or after_line) and len(self.streams) == 1:
            raise GatewayError("that is too long ago", reason=Reason.CURSOR_EXPIRED)
        lines = self.streams[0]
        is_last = len(self.streams) == 1
        if not is_last:
            self.streams.pop(0)
        for start in range(0, len(lines), self.batch_size):
            batch = lines[start : start + self.batch_size]
            token = f"c{start + len(batch)}" if self.source is LogSource.CURSOR else ""
            yield SourceBatch([LogLine(text=text) for text in batch], token, is_end=False)
        if is_last:
            yield SourceBatch([], "", is_end=True)


def numbered(count: int, first: int = 1) -> list[str]:
    return [f"line {number}" for number in range(first, first + count)]


async def found(log: JobLog) -> list[str]:
    """Return the lines of a log, and its gaps in brackets."""
    seen: list[str] = []
    async for part in Follower(log, After(), None, unknown).read():
        message = StreamLogsResponse.FromString(part.data)
        seen += [f"[{message.gap.why}]"] if message.HasField("gap") else []
        seen += [line.text for line in message.lines]
    return seen


async def collected(platform: Rewritten, folder: Path, restart: bool = False) -> list[str]:
    """Read a log to its end, by one gateway or by one for each stream."""
    store = LogStore(folder)
    while restart and len(platform.streams) > 1:
        with store.open("job-1") as log:
            left = len(platform.streams)
            reader = asyncio.create_task(collector(platform, log).run())
            async with asyncio.timeout(10):
                while len(platform.streams) == left:  # noqa: ASYNC110 - the streams are the reader's to open
                    await asyncio.sleep(0)
                await asyncio.sleep(0.001)
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
    with store.open("job-1") as log:
        await collect(platform, log)
        log.finish(Ending(JobState.SUCCEEDED, is_complete=True))
        return await found(log)


def is_subsequence(wanted: list[str], of: list[str]) -> bool:
    rest = iter(of)
    return all(item in rest for item in wanted)


def is_gap(text: str) -> bool:
    return text.startswith("[")


@dataclass(frozen=True)
class Fault:
    """What a source does to lines that were read from it before."""

    kind: str
    start: float
    end: float
    """Between which of them, as shares."""

    def apply(self, view: list[str], stored: set[str]) -> None:
        known = next((number for number, text in enumerate(view) if text not in stored), len(view))
        start, end = sorted((int(self.start * known), int(self.end * known)))
        if self.kind == "skip":
            del view[start:end]
        elif self.kind == "rotate":
            del view[:end]
        else:
            # What is repeated behind all that is known looks like what is new.
            view[start:start] = view[start : min(end, max(0, known - 1))]


shares = st.floats(0, 1)
faults = st.builds(Fault, st.sampled_from(["skip", "rotate", "repeat"]), shares, shares)


@dataclass
class Faulty(Rewritten):
    """A platform that sends other lines in place of those that are stored."""

    plan: list[tuple[int, list[Fault]]] = field(default_factory=list)
    """How much is written when each stream is opened, and what is wrong with it."""
    folder: Path = Path()
    is_last: bool = False
    """Whether the last stream was opened before; then it is not cut."""

    async def logs(self, platform_job_id: str, *, cursor: str, after_line: int) -> AsyncGenerator[SourceBatch, None]:
        written, wrong = self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]
        log = Segments(self.folder / "job-1")
        view, stored = numbered(written), set(log.texts(0, log.mark.last_seq))
        log.close()
        for fault in wrong:
            fault.apply(view, stored)
        self.streams = [view] if len(self.plan) == 1 and self.is_last else [view, []]
        self.is_last = len(self.plan) == 1
        async for batch in super().logs(platform_job_id, cursor=cursor, after_line=after_line):
            yield batch


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.lists(faults, max_size=2)), min_size=1, max_size=5),
    st.integers(1, 9),
)
async def test_no_fault_of_a_replay_loses_or_repeats_a_line_in_silence(
    growth: list[tuple[int, list[Fault]]], batch_size: int
) -> None:
    plan, total = [], 0
    for grown, wrong in growth:
        total += grown
        plan.append((total, wrong))
    with TemporaryDirectory() as name:
        platform = Faulty(plan=plan, batch_size=batch_size, folder=Path(name), streams=[[]])
        seen = await collected(platform, Path(name))
    assert is_subsequence(numbered(total), seen), seen
    if not any(map(is_gap, seen)):
        assert seen == numbered(total)


@settings(deadline=None, max_examples=60)
@given(st.integers(ENOUGH, 300), st.integers(0, 300), st.integers(0, 50), st.integers(1, 9), st.booleans())
async def test_a_log_that_was_rotated_is_continued_without_a_trace(
    before: int, deleted: int, fresh: int, batch_size: int, restart: bool
) -> None:
    # As much is left as is looked for.
    rotated = numbered(before + fresh)[max(0, min(deleted, before - 32)) :]
    streams = [numbered(before), rotated, [*rotated, "and on"]]
    with TemporaryDirectory() as name:
        seen = await collected(Rewritten(streams=streams, batch_size=batch_size), Path(name), restart=restart)
    assert seen == [*numbered(before + fresh), "and on"]


@dataclass
class Live(LoggingPlatform):
    """A platform whose streams stay open; what each gives is put into its queue."""

    source: LogSource = LogSource.REPLAY
    queues: list[asyncio.Queue[list[str] | None]] = field(default_factory=list)

    async def logs(self, platform_job_id: str, *, cursor: str, after_line: int) -> AsyncGenerator[SourceBatch, None]:
        queue: asyncio.Queue[list[str] | None] = asyncio.Queue()
        self.queues.append(queue)
        while (lines := await queue.get()) is not None:
            yield SourceBatch([LogLine(text=text) for text in lines], "", is_end=False)

    async def give(self, stream: int, lines: list[str] | None) -> None:
        """Give lines to a stream once it is open; None cuts it."""
        async with asyncio.timeout(10):
            while len(self.queues) <= stream:  # noqa: ASYNC110 - the streams are the reader's to open
                await asyncio.sleep(0)
        self.queues[stream].put_nowait(lines)


async def seen_soon(log: JobLog, wanted: list[str]) -> None:
    async with asyncio.timeout(10):
        while await found(log) != wanted:
            await log.changed.ticket().wait()


async def test_a_log_that_changed_while_its_job_runs_is_found_again_in_a_stream_that_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alignment, "CAUGHT_UP_SECONDS", 0.05)
    platform = Live()
    with LogStore(tmp_path).open("job-1") as log:
        reader = asyncio.create_task(collector(platform, log).run())
        await platform.give(0, numbered(50))
        await seen_soon(log, numbered(50))
        await platform.give(0, None)
        await platform.give(1, numbered(50)[10:])
        await platform.give(2, numbered(50)[10:])
        await platform.give(2, ["fresh"])
        await seen_soon(log, [*numbered(50), "fresh"])
        assert len(platform.queues) == 3
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def test_a_log_that_was_replaced_while_its_job_runs_is_read_once_nothing_more_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alignment, "CAUGHT_UP_SECONDS", 0.05)
    platform = Live()
    with LogStore(tmp_path).open("job-1") as log:
        reader = asyncio.create_task(collector(platform, log).run())
        await platform.give(0, ["old"])
        await seen_soon(log, ["old"])
        await platform.give(0, None)
        for stream in (1, 2, 3):
            await platform.give(stream, ["new", "newer"])
        await seen_soon(log, ["old", f"[{LOST}]", "new", "newer"])
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def test_a_log_that_has_nothing_in_common_follows_behind_a_gap(tmp_path: Path) -> None:
    other = [f"second attempt {number}" for number in range(10)]
    seen = await collected(Rewritten(streams=[numbered(50), other, [*other, "end"]]), tmp_path)
    assert seen == [*numbered(50), f"[{LOST}]", *other, "end"]


async def test_a_log_that_was_cut_to_its_first_part_is_stored_again_from_there_at_most(tmp_path: Path) -> None:
    cut = [*numbered(30), *(f"after the cut {number}" for number in range(40))]
    seen = await collected(Rewritten(streams=[numbered(50), cut]), tmp_path)
    assert seen == [*numbered(50), f"[{LOST}]", *cut[30:]]


async def test_a_line_that_was_cut_comes_whole_behind_a_gap_and_no_more_than_once(tmp_path: Path) -> None:
    streams = [["one", "two", "thr"], ["one", "two", "three"], ["one", "two", "three", "four"]]
    seen = await collected(Rewritten(streams=streams), tmp_path, restart=True)
    assert seen == ["one", "two", "thr", f"[{CUT}]", "three", "four"]


async def test_a_log_that_is_shorter_for_a_while_is_waited_for(tmp_path: Path) -> None:
    streams = [numbered(40), numbered(25), numbered(45)]
    assert await collected(Rewritten(streams=streams), tmp_path) == numbered(45)


async def test_lines_that_are_all_the_same_are_counted(tmp_path: Path) -> None:
    streams = [["."] * 100, ["."] * 150, ["."] * 151]
    assert await collected(Rewritten(streams=streams), tmp_path, restart=True) == ["."] * 151


async def test_a_log_of_an_earlier_version_is_continued_by_its_count(tmp_path: Path) -> None:
    await collected(Rewritten(streams=[numbered(20)]), tmp_path)
    index = tmp_path / "job-1" / "index"
    size = (tmp_path / "job-1" / "lines").stat().st_size
    index.write_text(f'{{"size":{size},"last_seq":20,"cursor":"","source_lines":20,"ends":[[{size},20]]}}\n')
    assert await collected(Rewritten(streams=[numbered(25)]), tmp_path) == numbered(25)


async def test_a_cursor_that_has_expired_is_replaced_by_the_lines_that_it_stood_behind(tmp_path: Path) -> None:
    left = numbered(60)[10:]
    platform = Rewritten(streams=[numbered(50), left], source=LogSource.CURSOR, refuses_cursors=True)
    assert await collected(platform, tmp_path) == numbered(60)
    assert platform.calls == ["logs ", "logs c50", "logs "]


async def test_an_expired_cursor_of_lines_that_are_gone_is_a_gap(tmp_path: Path) -> None:
    platform = Rewritten(streams=[numbered(50), numbered(9, 80)], source=LogSource.OFFSET, refuses_cursors=True)
    seen = await collected(platform, tmp_path)
    assert seen == [*numbered(50), f"[{LOST}]", *numbered(9, 80)]
