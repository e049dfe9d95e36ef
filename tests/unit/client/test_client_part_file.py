"""Files on their way, and the paths that they may have."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gateway.client import InvalidConfigError, TransferError, training_config
from gateway.client.part_file import PartFile, WrongBytesError, target_path
from peftstudio.job.v1.artifact_pb2 import Chunk

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../a", "a/../../b", "a//b", "a/./b", "a\\b", "..", ".", "a/", "a\0b", "..\\a"]
)
def test_a_path_that_is_not_plain_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(TransferError, match="refused to write"):
        target_path(tmp_path, path)


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "link").symlink_to(tmp_path)

    with pytest.raises(TransferError, match="leads out"):
        target_path(tmp_path / "inside", "link/file")


def test_a_plain_path_is_taken(tmp_path: Path) -> None:
    assert target_path(tmp_path, "checkpoint-1/a..b.bin") == tmp_path / "checkpoint-1" / "a..b.bin"


def test_a_file_stands_in_its_place_only_when_it_is_right(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "f")
    part.open()
    part.write(Chunk(offset=0, data=b"abc"))

    with pytest.raises(WrongBytesError, match="3 bytes arrived instead of 4"):
        part.commit(4, "")

    with pytest.raises(WrongBytesError, match="SHA-256"):
        part.commit(3, "0" * 64)

    assert not (tmp_path / "f").exists()
    part.commit(3, hashlib.sha256(b"abc").hexdigest())
    assert (tmp_path / "f").read_bytes() == b"abc"
    assert not part.path.exists()


def test_bytes_for_another_place_are_not_written(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "f")
    part.open()

    with pytest.raises(WrongBytesError, match="offset 5 came at offset 0"):
        part.write(Chunk(offset=5, data=b"x"))


def test_a_configuration_names_all_that_is_wrong_with_it() -> None:
    with pytest.raises(InvalidConfigError) as caught:
        training_config({"rnak": 8, "batch_size": 1.5, "target_modules": "q", "alpha": "x", "options": 3, "rank": True})

    assert {violation.field: violation.description for violation in caught.value.violations} == {
        "config.rnak": "there is no such field; did you mean rank?",
        "config.batch_size": "1.5 is not a whole number",
        "config.target_modules": "'q' is not a list of texts",
        "config.alpha": "'x' is not a number",
        "config.options": "3 is not a mapping",
        "config.rank": "True is not a whole number",
    }


def test_a_configuration_takes_what_yaml_and_json_give() -> None:
    config = training_config(
        {"rank": 8.0, "learning_rate": "2e-4", "target_modules": ["q"], "options": {"gpus": 2}, "seed": None}
    )

    assert (config.rank, config.learning_rate, list(config.target_modules)) == (8, 2e-4, ["q"])
    assert config.options["gpus"] == 2
    assert not config.HasField("seed")
