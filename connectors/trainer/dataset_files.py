"""Readers of dataset files, one row at a time in constant memory. No reader needs torch or datasets."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PARQUET_ROWS = 256  # rows decoded at a time
_CSV_FIELD_BYTES = 16 * 1024 * 1024  # a document may be much longer than the csv module's 128 KiB


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file, or the sentence that says why it cannot be read."""

    where: str
    """Place in the file, as a person counts: `line 3` or `row 3`."""
    value: object = None
    problem: str = ""


def _json_lines(path: Path) -> Iterator[Row]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _json_row(f"line {number}", line)


def _json_row(where: str, line: bytes) -> Row:
    try:
        return Row(where, json.loads(line.decode("utf-8-sig")))
    except UnicodeDecodeError:
        return Row(where, problem="not UTF-8 text; save the file as UTF-8")
    except ValueError as error:
        return Row(where, problem=f"not valid JSON: {error}")


def _csv_rows(path: Path) -> Iterator[Row]:
    csv.field_size_limit(_CSV_FIELD_BYTES)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        try:
            for row in reader:
                yield Row(f"line {reader.line_num}", row)
        except (csv.Error, UnicodeDecodeError) as error:
            yield Row(f"line {reader.line_num + 1}", problem=f"not a CSV row in UTF-8: {error}")


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                for value in batch.to_pylist():
                    number += 1
                    yield Row(f"row {number}", value)
    except pyarrow.ArrowException as error:
        yield Row(f"row {number + 1}", problem=f"not readable as Parquet: {error}")


def _text_lines(path: Path) -> Iterator[Row]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                text = line.decode("utf-8-sig").strip()
            except UnicodeDecodeError:
                yield Row(f"line {number}", problem="not UTF-8 text; save the file as UTF-8")
                continue
            if text:
                yield Row(f"line {number}", {"text": text})


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".jsonl.gz": _json_lines,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
    ".txt": _text_lines,
}

SUFFIXES = tuple(_READERS)
"""The kinds of files that can be trained on. In a .txt file every line that is not blank is one example."""


def reader_of(path: Path) -> Callable[[Path], Iterator[Row]] | None:
    """Find the reader for a file by its suffix; None = there is none."""
    name = path.name.lower()
    return next((reader for suffix, reader in _READERS.items() if name.endswith(suffix)), None)
