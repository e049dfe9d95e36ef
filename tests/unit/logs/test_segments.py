"""A job's log in segments: rotated, deleted in part, and read meanwhile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.logs.intake import prepare
from gateway.logs.mark import NOT_KEPT
from gateway.logs.place import Place
from gateway.logs.query import Since
from gateway.logs.retention import Retention
from gateway.logs.segment import Segment, index_path, lines_path
from gateway.logs.segments import DAMAGE, RETENTION, Run, Segments, Spot, bases_in
from gateway.logs.store import LogStore
from gateway.logs.wire import MESSAGE_BYTES, LogLine, StreamLogsResponse, encode_gap, lines
from gateway.redaction import Redactor
from tests.support.clocks import NOON, FakeClock

pytestmark = pytest.mark.unit

SMALL = 8 * 1024
"""Bytes of a log that is deleted in part after some hundred lines."""


def append(log: Segments, texts: list[str], gap: str = "", hours: float = 0) -> None:
    first = log.mark.last_seq + 1
    now = NOON + timedelta(hours=hours)
    prepared = prepare([LogLine(text=text) for text in texts], first_seq=first, redact=Redactor(), now=now)
    place = Place(source_lines=log.mark.place.source_lines + len(texts))
    head = encode_gap(first, 0, gap) if gap else b""
    log.append(prepared.encoded, place, latest=prepared.latest, gap=head)


def numbered(log: Segments, count: int) -> None:
    for _ in range(count):
        append(log, [f"line {log.mark.last_seq + 1}"])


def read(log: Segments, spot: Spot) -> tuple[list[int], list[tuple[int, int, str]]]:
    """Return the lines and what is missing, from a spot to the end."""
    found, missing = [], []
    while run := log.read(spot):
        spot = run.spot
        found += [line.seq for line in lines(run.data)]
        if run.missing_from:
            missing.append((run.missing_from, run.spot.seq, run.why))
    return found, missing


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 30), max_size=40), st.integers(0, 600), st.booleans())
def test_a_reader_from_anywhere_gets_what_is_kept_behind_a_gap_of_what_is_not(
    batches: list[int], after_seq: int, reopen: bool
) -> None:
    with TemporaryDirectory() as name:
        log = Segments(Path(name), SMALL)
        for count in batches:
            append(log, [f"a line of some length {number}" for number in range(count)])
        if reopen:
            log.close()
            log = Segments(Path(name), SMALL)
        last, kept = sum(batches), log.kept_after
        assert log.mark.last_seq == last
        found, missing = read(log, log.locate(min(after_seq, last)))
        start = max(min(after_seq, last), kept)
        assert found == list(range(start + 1, last + 1))
        assert missing == ([(after_seq + 1, kept, RETENTION)] if min(after_seq, last) < kept else [])
        size = sum(path.stat().st_size for path in Path(name).iterdir())
        assert size <= SMALL + 2 * SMALL / 8 + 30 * 80
        log.close()


def test_a_reader_that_is_overtaken_by_the_deletion_goes_on_behind_a_gap(tmp_path: Path) -> None:
    log = Segments(tmp_path, SMALL)
    numbered(log, 5)
    run = log.read(log.locate(0))
    assert run is not None
    numbered(log, 300)
    assert log.kept_after > 5
    found, missing = read(log, run.spot)
    assert missing == [(6, log.kept_after, RETENTION)]
    assert found == list(range(log.kept_after + 1, 306))


def test_a_reader_within_an_old_segment_gets_all_of_it_while_the_log_goes_on(tmp_path: Path) -> None:
    log = Segments(tmp_path, 8 * SMALL)
    numbered(log, 100)
    spot = log.locate(50)
    numbered(log, 100)
    assert len(list(tmp_path.glob("index*"))) > 1
    assert read(log, spot) == (list(range(51, 201)), [])


def test_the_log_of_an_earlier_version_is_the_first_segment(tmp_path: Path) -> None:
    log = Segments(tmp_path)
    numbered(log, 3)
    log.close()
    old = '{"size":%d,"last_seq":3,"cursor":"c3","source_lines":3,"ends":[[%d,3]]}\n'
    size = lines_path(tmp_path, 0).stat().st_size
    index_path(tmp_path, 0).write_text(old % (size, size))
    log = Segments(tmp_path, SMALL)
    assert (log.mark.place, log.mark.latest) == (Place(cursor="c3", source_lines=3), NOT_KEPT)
    numbered(log, 40)
    assert len(list(tmp_path.glob("index*"))) > 1
    assert read(log, log.locate(0)) == (list(range(1, 44)), [])


def test_what_a_crash_leaves_of_a_rotation_or_a_deletion_is_of_no_consequence(tmp_path: Path) -> None:
    log = Segments(tmp_path / "log", 8 * SMALL)
    numbered(log, 200)
    log.close()
    whole = list(range(1, 201))
    leftovers: dict[str, Callable[[Path], object]] = {
        "an index that is not in place": lambda folder: (folder / "index-200.new").write_text("{"),
        "a new segment without lines": begin_next,
        "lines whose index is gone": lambda folder: (folder / "lines-7").write_bytes(b"old"),
        "an index that a loss of power emptied": lambda folder: (folder / "index-200").touch(),
    }
    for what, leave in leftovers.items():
        folder = tmp_path / what.replace(" ", "-")
        shutil.copytree(tmp_path / "log", folder)
        leave(folder)
        log = Segments(folder, 8 * SMALL)
        assert read(log, log.locate(0)) == (whole, []), what
        numbered(log, 1)
        assert read(log, log.locate(0)) == ([*whole, 201], []), what
        assert not list(folder.glob("*.new"))
        assert not (folder / "lines-7").exists()
        log.close()


def begin_next(folder: Path) -> None:
    log = Segments(folder, 8 * SMALL)
    Segment.begin(folder, log.mark).close()
    log.close()
    lines_path(folder, 200).unlink()


def test_lines_of_an_old_segment_that_a_loss_of_power_took_are_a_gap(tmp_path: Path) -> None:
    log = Segments(tmp_path, 8 * SMALL)
    numbered(log, 200)
    log.close()
    os.truncate(lines_path(tmp_path, 0), lines_path(tmp_path, 0).stat().st_size // 2)
    log = Segments(tmp_path, 8 * SMALL)
    found, missing = read(log, log.locate(0))
    ((first, last, why),) = missing
    assert found == [*range(1, first), *range(last + 1, 201)]
    assert why == DAMAGE


def test_a_log_that_cannot_be_continued_in_a_new_file_goes_on_in_the_old_one(tmp_path: Path) -> None:
    log = Segments(tmp_path, SMALL)
    for number in range(1, 30):
        (tmp_path / f"index-{number}.new").mkdir()
    numbered(log, 25)
    assert log.mark.last_seq == 25
    assert read(log, log.locate(0)) == (list(range(1, 26)), [])


def test_a_gap_is_in_front_of_its_line_however_the_log_is_read(tmp_path: Path) -> None:
    log = Segments(tmp_path)
    append(log, ["one", "two"])
    append(log, ["three"], gap="cut")
    append(log, ["four"])
    append(log, ["five"], gap="cut again")
    whole = [1, 2, -3, 3, 4, -5, 5]
    for after, rest in enumerate((whole, whole[1:], whole[2:], whole[4:], whole[5:])):
        spot, seen = log.locate(after), []
        while run := log.read(spot):
            spot = run.spot
            message = StreamLogsResponse.FromString(run.data)
            seen += [-message.gap.from_seq] if message.HasField("gap") else []
            seen += [line.seq for line in message.lines]
        assert seen == rest


async def test_since_looks_only_where_lines_may_be_as_young(tmp_path: Path) -> None:
    log = Segments(tmp_path, 64 * SMALL)
    for hour in range(200):
        append(log, [f"a line of hour {hour}"] * 20, hours=hour)
    assert len(bases_in(tmp_path)) > 2
    for hour in (0, 1, 99, 199):
        assert await Since(NOON + timedelta(hours=hour)).after_seq(log) == hour * 20
    assert await Since(NOON + timedelta(hours=500)).after_seq(log) == 4000
    reads = 0

    class Counting(Segments):
        def read(self, spot: Spot, most_bytes: int = MESSAGE_BYTES) -> Run | None:
            nonlocal reads
            reads += 1
            return super().read(spot, most_bytes)

    again = Counting(tmp_path, 64 * SMALL)
    assert await Since(NOON + timedelta(hours=150)).after_seq(again) == 3000
    assert reads <= 2


async def test_since_before_the_first_kept_line_tells_that_there_may_have_been_more(tmp_path: Path) -> None:
    log = Segments(tmp_path, SMALL)
    numbered(log, 400)
    start = await Since(NOON).after_seq(log)
    assert read(log, log.locate(start))[1] == [(1, log.kept_after, RETENTION)]


async def test_old_lines_of_all_logs_are_deleted_and_those_of_a_running_job_go_on(tmp_path: Path) -> None:
    store, clock = LogStore(tmp_path), FakeClock()
    for job, age_days in (("old", 100), ("young", 1), ("empty", 100)):
        with store.open(job) as log:
            # The source's place alone takes files, too.
            append(log.segments, [])
            numbered(log.segments, 10 if job != "empty" else 0)
        age(tmp_path / job, age_days)
    retention = Retention(store, clock, max_bytes=0, max_age=timedelta(days=90))
    with store.open("old") as log:
        await retention.sweep()
        assert read(log.segments, log.segments.locate(3)) == ([], [(4, 10, RETENTION)])
        numbered(log.segments, 1)
        assert read(log.segments, log.segments.locate(0)) == ([11], [(1, 10, RETENTION)])
    with store.open("young") as log:
        assert read(log.segments, log.segments.locate(0)) == (list(range(1, 11)), [])
    assert not lines_path(tmp_path / "old", 0).exists()


async def test_the_oldest_lines_go_first_where_all_logs_are_too_large(tmp_path: Path) -> None:
    store, clock = LogStore(tmp_path), FakeClock()
    for number in range(6):
        with store.open(f"job-{number}") as log:
            numbered(log.segments, 50)
        age(tmp_path / f"job-{number}", 6 - number)
    size = sum(path.stat().st_size for path in (tmp_path / "job-0").iterdir())
    await Retention(store, clock, max_bytes=3 * size + size // 2, max_age=timedelta()).sweep()
    kept = [number for number in range(6) if lines_path(tmp_path / f"job-{number}", 0).exists()]
    assert kept == [3, 4, 5]


def age(folder: Path, days: float) -> None:
    moment = (NOON - timedelta(days=days)).timestamp()
    for path in folder.iterdir():
        os.utime(path, (moment, moment))
