from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from connectors.trainer.dataset import HubDataset, WebDataset, check_dataset, locate_dataset, read_examples
from connectors.trainer.dataset_files import Row
from connectors.trainer.errors import BadData

pytestmark = pytest.mark.unit

PAIR = {"prompt": "p", "completion": "c"}
CHAT = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("row", [{"text": "t"}, PAIR, CHAT, {**PAIR, "source": "extra columns do not matter"}])
def test_every_known_shape_passes(tmp_path: Path, row: object) -> None:
    assert check_dataset(jsonl(tmp_path / "d.jsonl", row, row)) == []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{broken", "not valid JSON"),
        ("[1]", "not an object"),
        ({"question": "?"}, "neither text, prompt/completion nor messages"),
        ({"prompt": "p"}, "completion is missing"),
        ({"text": 5}, "text is int"),
        ({"text": "  "}, "text is empty"),
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "no message of the role assistant"),
        ({"messages": [{"role": "assistant"}]}, "message 1 needs a role and a content"),
        (CHAT, "is messages but line 1 is prompt/completion"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_what_is_wrong(tmp_path: Path, row: object, problem: str) -> None:
    [found] = check_dataset(jsonl(tmp_path / "d.jsonl", PAIR, row))
    assert found.startswith("d.jsonl, line 2: ")
    assert problem in found


def test_no_more_than_five_problems_are_listed(tmp_path: Path) -> None:
    assert len(check_dataset(jsonl(tmp_path / "d.jsonl", *["{"] * 50))) == 5


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "no examples" in check_dataset(jsonl(tmp_path / "d.jsonl", "", ""))[0]


def test_what_is_not_a_dataset_file_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in check_dataset(tmp_path)[0]
    assert "does not exist" in check_dataset(tmp_path / "missing.jsonl")[0]
    assert "unknown kind" in check_dataset(jsonl(tmp_path / "d.xlsx", PAIR))[0]


def test_bytes_that_are_not_utf8_are_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_bytes(b'{"text": "ok"}\n{"text": "\xff"}\n')
    assert check_dataset(tmp_path / "d.jsonl") == ["d.jsonl, line 2: not UTF-8 text; save the file as UTF-8"]


def test_csv_text_and_compressed_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text('prompt,completion\n"a, b",c\nd,e\n', encoding="utf-8")
    (tmp_path / "d.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(b'{"text": "t"}\n'))
    assert [check_dataset(tmp_path / name) for name in ("d.csv", "d.txt", "d.jsonl.gz")] == [[], [], []]


def test_an_incomplete_csv_row_is_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("prompt,completion\na,b\nc\n", encoding="utf-8")
    assert check_dataset(tmp_path / "d.csv") == [
        "d.csv, line 3: completion is missing; a prompt/completion example needs both"
    ]


def test_a_truncated_compressed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(b'{"text": "t"}\n' * 1000)[:-10])
    assert "damaged" in check_dataset(tmp_path / "d.jsonl.gz")[0]


def test_parquet_rows_are_read_and_named_by_number(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["a", None]}), tmp_path / "d.parquet")
    assert check_dataset(tmp_path / "d.parquet") == ["d.parquet, row 2: neither text, prompt/completion nor messages"]
    (tmp_path / "e.parquet").write_bytes(b"not parquet")
    assert "not readable as Parquet" in check_dataset(tmp_path / "e.parquet")[0]


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("data/d.jsonl", Path("data/d.jsonl")),
        ("file:///a%20b/d.jsonl", Path("/a b/d.jsonl")),
        ("https://example.org/d.jsonl", WebDataset("https://example.org/d.jsonl")),
        ("hf://org/name", HubDataset("org/name", "train")),
        ("hf://org/name:test", HubDataset("org/name", "test")),
    ],
)
def test_a_uri_says_where_the_data_is(uri: str, source: object) -> None:
    assert locate_dataset(uri) == source


@pytest.mark.parametrize("uri", ["s3://bucket/d.jsonl", "upload://abc", "hf://"])
def test_a_uri_that_cannot_be_read_here_is_refused(uri: str) -> None:
    with pytest.raises(BadData, match="cannot read"):
        locate_dataset(uri)


def test_a_file_that_went_bad_after_the_check_is_refused_when_read() -> None:
    rows = [Row("line 1", PAIR), Row("line 2", problem="not valid JSON")]
    with pytest.raises(BadData, match=r"d\.jsonl, line 2: not valid JSON"):
        list(read_examples(rows, "d.jsonl"))
