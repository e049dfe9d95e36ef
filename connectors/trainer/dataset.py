"""Where a dataset is, and whether it can be trained on; importable without torch and datasets."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from connectors.trainer.dataset_files import SUFFIXES, Row, reader_of
from connectors.trainer.dataset_shapes import Example, NotAnExample, Shape, parse_example
from connectors.trainer.errors import BadData

MAX_PROBLEMS = 5  # enough to see the pattern; a million equal complaints help nobody


@dataclass(frozen=True, slots=True)
class HubDataset:
    """A dataset of the Hugging Face hub."""

    name: str
    split: str


@dataclass(frozen=True, slots=True)
class WebDataset:
    """A file behind an https address."""

    url: str


def locate_dataset(uri: str) -> Path | HubDataset | WebDataset:
    """Tell what a path or URI refers to, without looking whether it exists.

    `hf://org/name:split` names a split of a hub dataset; without one it is `train`.

    Raises:
        BadData: if the scheme is not one that can be read here.

    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri).expanduser()
    if scheme == "file":
        return Path(unquote(urlparse(uri).path))
    if scheme == "https":
        return WebDataset(uri)
    if scheme == "hf" and rest.strip("/"):
        name, _, split = rest.partition(":")
        return HubDataset(name.strip("/"), split or "train")
    raise BadData(f"dataset_path: cannot read {uri}; give a path, file://, https:// or hf://org/name:split")


def check_dataset(path: Path) -> list[str]:
    """List what keeps a file from being trained on, at most `MAX_PROBLEMS` sentences; [] = nothing.

    Reads the whole file once in constant memory: 100 MB of JSON Lines take seconds, so call it off an event loop.
    """
    # The functions of os.path, unlike those of Path, answer for names that no file can have, too.
    if os.path.isdir(path):
        return [f"{path} is a folder; name the file in it that holds the examples"]
    if not os.path.exists(path):
        return [f"{path} does not exist on the machine that trains"]
    reader = reader_of(path)
    if reader is None:
        return [f"{path.name} is of an unknown kind; give one of {', '.join(SUFFIXES)}"]
    try:
        return _problems(path.name, reader(path))
    except OSError as error:
        return [f"{path} cannot be read: {error.strerror or error}"]
    except (EOFError, zlib.error):
        return [f"{path.name} is damaged; its compressed data cannot be unpacked to the end"]


def read_examples(rows: Iterable[Row], name: str) -> Iterator[Example]:
    """Yield the examples of a dataset; a file was checked before, a download was not.

    Raises:
        BadData: at the first row that cannot be used, or at the end if there was none.

    """
    first: tuple[Shape, str] | None = None
    for row in rows:
        try:
            first = _check_row(row, first)
            yield parse_example(row.value)[1]
        except NotAnExample as error:
            raise BadData(f"{name}, {row.where}: {error}") from error
    if first is None:
        raise BadData(f"{name} holds no examples")


def _problems(name: str, rows: Iterator[Row]) -> list[str]:
    problems: list[str] = []
    first: tuple[Shape, str] | None = None
    count = 0
    for row in rows:
        count += 1
        try:
            first = _check_row(row, first)
        except NotAnExample as error:
            problems.append(f"{name}, {row.where}: {error}")
        if len(problems) == MAX_PROBLEMS:
            break
    return problems if count else [f"{name} holds no examples; write at least one"]


def _check_row(row: Row, first: tuple[Shape, str] | None) -> tuple[Shape, str]:
    if row.problem:
        raise NotAnExample(row.problem)
    shape, _ = parse_example(row.value)
    if first is None:
        return shape, row.where
    if shape != first[0]:
        raise NotAnExample(f"is {shape} but {first[1]} is {first[0]}; keep to one shape in a file")
    return first
