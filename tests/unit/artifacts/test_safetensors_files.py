from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.artifacts.safetensors_check import safetensors_fault

pytestmark = pytest.mark.unit


def encode(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def tensor(start: int, stop: int) -> dict[str, object]:
    return {"dtype": "U8", "shape": [stop - start], "data_offsets": [start, stop]}


GOOD = encode({"__metadata__": {"format": "pt"}, "b": tensor(3, 8), "a": tensor(0, 3), "empty": tensor(3, 3)}, b"x" * 8)


def fault(folder: Path, data: bytes) -> str:
    path = folder / "model.safetensors"
    path.write_bytes(data)
    return safetensors_fault(path)


def test_a_whole_file_has_no_fault(tmp_path: Path) -> None:
    assert fault(tmp_path, GOOD) == ""


@pytest.mark.parametrize("size", range(len(GOOD)))
def test_every_cut_is_noticed(tmp_path: Path, size: int) -> None:
    assert fault(tmp_path, GOOD[:size])


@pytest.mark.parametrize(
    "data",
    [
        encode([]),
        encode({"a": 1}),
        encode({"a": tensor(0, 4)}, b"x" * 5),
        encode({"a": tensor(1, 4)}, b"x" * 4),
        encode({"a": tensor(0, 4), "b": tensor(2, 6)}, b"x" * 6),
        encode({"a": {"data_offsets": [4, 0]}}, b"x" * 4),
        (8).to_bytes(8, "little") + b"not json",
        (2**63).to_bytes(8, "little") + b"{}",
        b"\x04\0\0\0\0\0\0\0" + b"[[[[",
    ],
)
def test_damaged_headers_are_noticed(tmp_path: Path, data: bytes) -> None:
    assert fault(tmp_path, data)


@given(st.binary(max_size=200))
def test_noise_never_raises(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    assert isinstance(fault(tmp_path_factory.getbasetemp(), data), str)
