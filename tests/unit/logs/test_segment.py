"""The log of a job on disk, and what a crash may do to it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import StorageFull
from gateway.logs.intake import prepare
from gateway.logs.place import Place
from gateway.logs.segment import Segment
from gateway.logs.wire import MESSAGE_BYTES, LogLine, lines
from gateway.redaction import Redactor
from tests.support.clocks import NOON

pytestmark = pytest.mark.unit

texts = st.lists(st.lists(st.text(max_size=300), min_size=1, max_size=20), max_size=12)


def append(segment: Segment, batch: list[str], cursor: str = "") -> None:
    first = segment.mark.last_seq + 1
    prepared = prepare([LogLine(text=text) for text in batch], first_seq=first, redact=Redactor(), now=NOON)
    place = Place(cursor=cursor, source_lines=segment.mark.place.source_lines + len(batch))
    segment.append(prepared.encoded, place, latest=prepared.latest)


def read_all(segment: Segment, after_seq: int = 0) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    position = segment.locate(after_seq)
    while True:
        data, last_seq = segment.read(position)
        if not data:
            return found
        found += [(line.seq, line.text) for line in lines(data)]
        assert found[-1][0] == last_seq
        position += len(data)


def folded(text: str) -> str:
    if "\r" in text:
        text = text.rstrip("\r\n").rpartition("\r")[2]
    return text.rstrip("\n").replace("\n", " ")


@given(texts, st.integers(0, 100))
def test_every_line_comes_back_once_and_in_order_from_any_point(batches: list[list[str]], after_seq: int) -> None:
    with TemporaryDirectory() as folder:
        segment = Segment(Path(folder))
        for batch in batches:
            append(segment, batch)
        written = list(enumerate((folded(text) for batch in batches for text in batch), 1))
        assert read_all(segment, after_seq) == written[after_seq:]
        segment.close()


@given(texts, st.data())
def test_a_log_that_was_torn_anywhere_opens_at_an_entry_whose_cursor_fits_its_lines(
    batches: list[list[str]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        segment = Segment(folder)
        marks = [segment.mark]
        for number, batch in enumerate(batches):
            append(segment, batch, cursor=f"after {number}")
            marks.append(segment.mark)
        written = read_all(segment)
        segment.close()
        for file in ("lines", "index") if batches else ():
            size = (folder / file).stat().st_size
            os.truncate(folder / file, data.draw(st.integers(0, size), label=file))
        reopened = Segment(folder)
        assert reopened.mark in marks
        assert read_all(reopened) == written[: reopened.mark.last_seq]
        append(reopened, ["and on"])
        assert read_all(reopened)[-1] == (reopened.mark.last_seq, "and on")
        reopened.close()


def test_a_log_without_lines_takes_no_files_and_one_that_a_crash_left_without_index_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    segment = Segment(folder)
    assert read_all(segment) == []
    segment.close()
    assert not folder.exists()
    folder.mkdir()
    (folder / "lines").write_bytes(b"left over")
    segment = Segment(folder)
    append(segment, ["first"])
    segment.close()
    reopened = Segment(folder)
    assert read_all(reopened) == [(1, "first")]
    reopened.close()


def test_a_message_holds_many_lines_but_no_more_than_its_bound(tmp_path: Path) -> None:
    segment = Segment(tmp_path)
    append(segment, ["x" * 100] * 5000)
    position, sizes = 0, []
    while data := segment.read(position)[0]:
        sizes.append(len(data))
        position += len(data)
    assert max(sizes) <= MESSAGE_BYTES
    assert len(sizes) < 5000 * 130 / MESSAGE_BYTES + 3


def test_a_line_longer_than_a_message_is_still_whole(tmp_path: Path) -> None:
    segment = Segment(tmp_path)
    append(segment, ["short", "y" * 60_000, "short"])
    assert [len(text) for _, text in read_all(segment)] == [5, 60_000, 5]


def test_a_full_disk_adds_nothing_and_says_so(tmp_path: Path) -> None:
    segment = Segment(tmp_path)
    append(segment, ["before"])
    with file_size_limit(4096), pytest.raises(StorageFull, match="cannot be written"):
        append(segment, ["lost"] * 100_000)
    assert read_all(segment) == [(1, "before")]
    append(segment, ["after"])
    assert read_all(segment)[-1] == (2, "after")


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let the system refuse to write files beyond a size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
