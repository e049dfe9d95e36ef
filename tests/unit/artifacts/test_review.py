"""What is said of the files of a job that succeeded."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gateway.artifacts.adapter_check import differences
from gateway.artifacts.model import ArtifactKind
from gateway.artifacts.review import Review
from gateway.errors import GatewayError
from gateway.jobs.model import JobConfig, JobState
from tests.unit.artifacts.conftest import JOB, Bench

pytestmark = pytest.mark.unit

ASKED = JobConfig(
    base_model="org/tiny",
    dataset_uri="d",
    algorithm="lora",
    document=json.dumps({"base_model": "org/tiny", "rank": 16, "alpha": 32.0, "target_modules": ["q", "v"]}),
)
TOLD = {
    "peft_type": "LORA",
    "r": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
    "base_model_name_or_path": "org/tiny",
    "target_modules": ["v", "q"],
}


def said(**other: object) -> list[str]:
    return differences(ASKED, json.dumps({**TOLD, **other}).encode())


@pytest.mark.parametrize(
    "fitting",
    [
        {},
        {"lora_dropout": 0.5},
        {"base_model_name_or_path": "/models/Tiny/"},
        {"base_model_name_or_path": None},
        {"target_modules": "all-linear"},
    ],
)
def test_only_what_was_asked_for_is_compared(fitting: dict[str, object]) -> None:
    assert said(**fitting) == []


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"r": 8}, "r = 8, and rank = 16"),
        ({"lora_alpha": 16.5}, "lora_alpha = 16.5, and alpha = 32"),
        ({"base_model_name_or_path": "org/huge"}, "'org/huge'"),
        ({"target_modules": ["q"]}, "modules q, and q, v"),
    ],
)
def test_an_adapter_that_is_another_one_is_told_of(other: dict[str, object], words: str) -> None:
    (one,) = said(**other)
    assert words in one


@pytest.mark.parametrize("told", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_configuration_that_cannot_be_read_is_told_of(told: bytes) -> None:
    assert differences(ASKED, told) == ["adapter_config.json is not a JSON object"]


@pytest.fixture
def review(bench: Bench) -> Review:
    bench.jobs[JOB.id] = replace(JOB, config=ASKED, state=JobState.FINALIZING)
    return Review(bench.artifacts, bench)


async def test_a_success_without_files_is_not_silent(review: Review) -> None:
    assert await review.doubts(JOB.id) == ["the training left no files, so that there is nothing to fetch"]


async def test_a_whole_adapter_that_was_asked_for_raises_no_doubt(bench: Bench, review: Review) -> None:
    bench.platform.put("adapter_config.json", json.dumps(TOLD).encode())
    bench.platform.put("checkpoints/1/adapter_config.json", json.dumps({**TOLD, "r": 1}).encode())
    bench.platform.put("adapter_model.bin", b"weights")
    assert await review.doubts(JOB.id) == []


async def test_an_empty_a_missing_and_another_adapter_are_told_of(bench: Bench, review: Review) -> None:
    bench.platform.tell(replace(bench.platform.put("weights.bin", b""), kind=ArtifactKind.ADAPTER))
    bench.platform.put("optimizer.bin", b"was here a moment ago")
    bench.platform.put("adapter_config.json", json.dumps({**TOLD, "r": 4}).encode())
    await bench.artifacts.list(JOB.id)
    del bench.platform.files["optimizer.bin"]
    assert await review.doubts(JOB.id) == [
        "its file optimizer.bin is missing",
        "its file weights.bin is empty",
        "the adapter has r = 4, and rank = 16 was asked for",
    ]


async def test_a_configuration_that_cannot_be_fetched_is_told_of(bench: Bench, review: Review) -> None:
    bench.platform.put("adapter_config.json", json.dumps(TOLD).encode(), sha256="0" * 64)
    (doubt,) = await review.doubts(JOB.id)
    assert "cannot be fetched" in doubt


async def test_a_platform_that_cannot_be_asked_is_no_list_without_files(bench: Bench, review: Review) -> None:
    bench.platform.faults.is_down = True
    with pytest.raises(GatewayError, match="503"):
        await review.doubts(JOB.id)
