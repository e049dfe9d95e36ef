"""The one reader of a platform's log, through cuts of all kinds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.jobs.model import JobState
from gateway.logs import collector as module
from gateway.logs.collector import Collector
from gateway.logs.follower import Follower
from gateway.logs.intake import prepare
from gateway.logs.place import Place
from gateway.logs.query import After, Since, Tail, compile_filter
from gateway.logs.store import Ending, JobLog, LogStore
from gateway.logs.wire import LogFilter, LogLine, lines
from gateway.plugins.model import Description, LogSource
from gateway.redaction import Redactor
from tests.support.clocks import NOON, FakeClock
from tests.support.log_source import LoggingPlatform, OnePlatform
from tests.unit.jobs.test_states import JOB

pytestmark = pytest.mark.unit

RESUMABLE = [LogSource.CURSOR, LogSource.OFFSET, LogSource.REPLAY]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once: what is tested is what comes, not when."""
    monkeypatch.setattr(module, "FIRST_DELAY_SECONDS", 0.0)
    monkeypatch.setattr(module, "MAX_DELAY_SECONDS", 0.0)


def collector(platform: LoggingPlatform, log: JobLog, secrets: list[str] | None = None) -> Collector:
    job = replace(JOB, platform_job_id="remote-1", state=JobState.RUNNING)
    kept = secrets if secrets is not None else []

    redactor = Redactor()

    async def find_redactor(connection_id: str) -> Redactor:
        redactor.learn(kept)
        return redactor

    return Collector(
        job,
        log,
        platforms=OnePlatform(platform),
        find_redactor=find_redactor,
        clock=FakeClock(),
        on_end=lambda: None,
    )


async def collect(platform: LoggingPlatform, log: JobLog, secrets: list[str] | None = None) -> None:
    reader = collector(platform, log, secrets)
    reader.job_ended()
    async with asyncio.timeout(10):
        await reader.run()


async def unknown() -> Ending | None:
    return None


async def stored(log: JobLog, after_seq: int = 0) -> list[LogLine]:
    found: list[LogLine] = []
    async for part in Follower(log, After(after_seq), None, unknown).read():
        found += lines(part.data)
    return found


async def texts(log: JobLog, after_seq: int = 0) -> list[tuple[int, str]]:
    return [(line.seq, line.text) for line in await stored(log, after_seq)]


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(RESUMABLE),
    st.integers(0, 60),
    st.integers(1, 7),
    st.lists(st.integers(0, 20), max_size=6),
    st.integers(0, 3),
)
async def test_every_line_is_stored_once_and_in_order_through_any_cuts(
    source: LogSource, count: int, batch_size: int, cuts: list[int], restarts: int
) -> None:
    written = [f"line {number}" for number in range(1, count + 1)]
    platform = LoggingPlatform(source=source, lines=written, batch_size=batch_size, cuts=cuts)
    with TemporaryDirectory() as name:
        store = LogStore(Path(name))
        for _ in range(restarts):
            # A gateway that is killed: it reads some, and is gone.
            with store.open("job-1") as log:
                reader = asyncio.create_task(collector(platform, log).run())
                await asyncio.sleep(0)
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
        with store.open("job-1") as log:
            await collect(platform, log)
            assert await texts(log) == list(enumerate(written, 1))


async def test_a_log_at_its_end_is_read_again_only_once_its_job_has_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "END_DELAY_SECONDS", 60.0)
    platform = LoggingPlatform(lines=["one"])
    with LogStore(tmp_path).open("job-1") as log:
        reader = collector(platform, log)
        reading = asyncio.create_task(reader.run())
        async with asyncio.timeout(10):
            for _ in range(100):
                # Many turns of the loop: without a pause, the log is opened again in each.
                await asyncio.sleep(0)
            assert platform.calls == ["logs"]
            platform.lines.append("two")
            reader.job_ended()
            assert await reading
        assert platform.calls == ["logs", "logs"]
        assert await texts(log) == [(1, "one"), (2, "two")]


async def test_a_credential_is_blotted_out_before_anything_is_stored(tmp_path: Path) -> None:
    platform = LoggingPlatform(lines=["token=canary-8d1f2 ok", "nothing here"])
    store = LogStore(tmp_path)
    with store.open("job-1") as log:
        await collect(platform, log, ["canary-8d1f2", "ok"])
        assert await texts(log) == [(1, "token=[redacted] ok"), (2, "nothing here")]
    assert b"canary" not in (tmp_path / "job-1" / "lines").read_bytes()


async def test_a_progress_bar_that_draws_over_itself_becomes_one_line(tmp_path: Path) -> None:
    platform = LoggingPlatform(lines=[" 10%\r 50%\r100%\r", "two\nlines"])
    with LogStore(tmp_path).open("job-1") as log:
        await collect(platform, log)
        assert await texts(log) == [(1, "100%"), (2, "two lines")]


async def test_a_line_of_megabytes_is_cut_and_flagged(tmp_path: Path) -> None:
    platform = LoggingPlatform(lines=["é" * 1_000_000])
    with LogStore(tmp_path).open("job-1") as log:
        await collect(platform, log)
        (line,) = await stored(log)
        assert line.truncated
        assert len(line.text.encode()) <= 64 * 1024


async def test_followers_get_what_comes_later_and_the_end_in_words(tmp_path: Path) -> None:
    with LogStore(tmp_path).open("job-1") as log:
        log.is_live = True

        async def follow(start: int) -> tuple[list[int], Ending | None]:
            seqs: list[int] = []
            async for part in Follower(log, After(start), None, unknown).follow():
                seqs += [line.seq for line in lines(part.data)]
                if part.is_last:
                    return seqs, part.ending
            return seqs, None

        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            followers = [tasks.create_task(follow(0)) for _ in range(20)]
            await asyncio.sleep(0)
            await collect(LoggingPlatform(lines=[str(number) for number in range(100)]), log)
            log.finish(Ending(JobState.SUCCEEDED, is_complete=True))
        ending = Ending(JobState.SUCCEEDED, is_complete=True)
        assert [task.result() for task in followers] == [(list(range(1, 101)), ending)] * 20


async def test_a_filter_leaves_lines_out_and_the_cursor_counts_them_all_the_same(tmp_path: Path) -> None:
    with LogStore(tmp_path).open("job-1") as log:
        await collect(LoggingPlatform(lines=["loss 1", "noise", "loss 2", "noise"]), log)
        wanted = compile_filter(LogFilter(regex="^loss [0-9]$"))
        parts = [part async for part in Follower(log, Tail(3), wanted, unknown).read()]
        assert [line.text for part in parts for line in lines(part.data)] == ["loss 2"]
        assert parts[-1].next_after_seq == 4


async def test_rotated_credentials_are_blotted_out_of_a_running_jobs_log_and_so_are_the_old_ones(
    tmp_path: Path,
) -> None:
    secrets = ["old-key-1"]

    class Rotating(LoggingPlatform):
        async def describe(self) -> Description:
            if self.calls:
                secrets[:] = ["new-key-2"]
            return await super().describe()

    platform = Rotating(lines=["old-key-1"] * 3 + ["old-key-1 new-key-2"] * 3, cuts=[4])
    with LogStore(tmp_path).open("job-1") as log:
        await collect(platform, log, secrets)
        kept = [text for _, text in await texts(log)]
        assert kept == ["[redacted]"] * 3 + ["[redacted] [redacted]"] * 3


async def test_since_passes_lines_with_times_that_no_calendar_has(tmp_path: Path) -> None:
    with LogStore(tmp_path).open("job-1") as log:
        early, late = LogLine(seq=1, text="early"), LogLine(seq=3, text="late")
        broken = LogLine(seq=2, text="broken")
        early.time.FromDatetime(NOON - timedelta(hours=1))
        broken.time.seconds = -(10**15)
        late.time.FromDatetime(NOON)
        prepared = prepare([early, broken, late], first_seq=1, redact=Redactor(), now=NOON)
        log.segments.append(prepared.encoded, Place(source_lines=3), latest=prepared.latest)
        assert await Since(NOON).after_seq(log.segments) == 2
        assert await Since(NOON + timedelta(days=1)).after_seq(log.segments) == 3


async def test_an_ending_that_a_power_cut_left_empty_is_taken_from_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "job-1").mkdir()
    (tmp_path / "job-1" / "ending.json").write_text("")

    async def known() -> Ending | None:
        return Ending(JobState.FAILED, is_complete=True)

    with LogStore(tmp_path).open("job-1") as log:
        async with asyncio.timeout(5):
            parts = [part async for part in Follower(log, After(), None, known).follow()]
    assert parts[-1].ending == Ending(JobState.FAILED, is_complete=True)
