from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import yaml

from connector_sdk.models import TrainingConfig
from connectors.trainer.dataset import check_dataset

pytestmark = pytest.mark.unit

EXAMPLES = Path(__file__).parents[3] / "examples"
DATASETS = EXAMPLES / "datasets"


def test_the_committed_dataset_is_what_the_script_makes_of_the_table() -> None:
    found = importlib.util.spec_from_file_location("make_elements", DATASETS / "make_elements.py")
    assert found is not None
    assert found.loader is not None
    script = importlib.util.module_from_spec(found)
    sys.modules["make_elements"] = script
    found.loader.exec_module(script)
    train, held_out = script.make_examples(script.read_table(DATASETS / "elements.csv"))
    assert (DATASETS / "elements.jsonl").read_text(encoding="utf-8").splitlines() == train
    assert (DATASETS / "elements_heldout.jsonl").read_text(encoding="utf-8").splitlines() == held_out


def test_no_held_out_question_is_trained_on() -> None:
    train, held_out = (
        {json.loads(line)["prompt"] for line in (DATASETS / name).read_text(encoding="utf-8").splitlines()}
        for name in ("elements.jsonl", "elements_heldout.jsonl")
    )
    assert len(train) > 600
    assert len(held_out) > 50
    assert not train & held_out


@pytest.mark.parametrize("name", ["elements.jsonl", "elements_heldout.jsonl"])
def test_the_dataset_can_be_trained_on(name: str) -> None:
    assert check_dataset(DATASETS / name) == []


def test_the_example_config_is_a_training_config() -> None:
    values = yaml.safe_load((EXAMPLES / "lora.yaml").read_text(encoding="utf-8"))
    TrainingConfig.model_validate({**values, "base_model": "m", "dataset_path": "d"})
