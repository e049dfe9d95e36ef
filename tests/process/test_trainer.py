"""Real trainings of a tiny model. Where the process matters it is a process; else the training runs in this one."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connector_sdk.models import TrainingConfig
from connectors.trainer.errors import BadData, ConfigRejected, ModelNotFound
from connectors.trainer.exit_codes import ExitCode
from connectors.trainer.interruption import Interruption
from connectors.trainer.records import RecordWriter
from connectors.trainer.spec import JobSpec
from tests.support.tiny_model import make_tiny_model, pair_rows, write_jsonl

pytest.importorskip("trl")
pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("default")]

LIMIT_SECONDS = 90.0
CHAT = {"messages": [{"role": "user", "content": "say"}, {"role": "assistant", "content": "cat"}]}


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def make_spec(folder: Path, base_model: Path, rows: list[dict[str, object]] | None = None, **config: object) -> JobSpec:
    data = write_jsonl(folder / "data.jsonl", rows or pair_rows())
    values = {
        "base_model": str(base_model),
        "dataset_path": data.as_uri(),
        "max_steps": 4,
        "learning_rate": 0.01,
        "batch_size": 4,
        "max_seq_length": 64,
        **config,
    }
    return JobSpec(
        job_id="j",
        config=TrainingConfig.model_validate(values),
        work_dir=folder,
        output_dir=folder / "output",
        records_path=folder / "records.jsonl",
    )


def train_here(spec: JobSpec) -> int:
    """Train within this process."""
    from connectors.trainer.training import train

    def leave() -> None:
        pytest.fail("nobody sends a signal here")

    step = train(spec, RecordWriter(spec.records_path), Interruption(leave))
    gc.collect()
    return step


@contextmanager
def running(spec: JobSpec) -> Iterator[subprocess.Popen[str]]:
    """Start the program on a spec; it is killed if the test leaves it running."""
    (spec.work_dir / "spec.json").write_text(spec.model_dump_json())
    command = [sys.executable, "-P", "-m", "connectors.trainer", str(spec.work_dir / "spec.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def run(spec: JobSpec) -> tuple[int, str, str]:
    """Run the program to its end, and give its status, stdout and stderr."""
    with running(spec) as process:
        stdout, stderr = process.communicate(timeout=LIMIT_SECONDS)
    return process.returncode, stdout, stderr


def records(spec: JobSpec) -> list[dict[str, Any]]:
    if not spec.records_path.exists():
        return []
    return [json.loads(line) for line in spec.records_path.read_text().splitlines()]


def steps_of(spec: JobSpec, name: str) -> list[int]:
    return [record["step"] for record in records(spec) if record.get("name") == name]


def wait_for(process: subprocess.Popen[str], is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not is_reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.01)


@pytest.mark.parametrize("algorithm", ["lora", "rslora", "dora", "pissa"])
def test_an_adapter_fits_the_unmodified_base_model_and_has_learnt(
    tmp_path: Path, base_model: Path, algorithm: str
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    spec = make_spec(tmp_path, base_model, algorithm=algorithm, max_steps=20, validation_split=0.25)
    train_here(spec)
    manifest = json.loads((spec.output_dir / "manifest.json").read_text())
    files = {file["path"]: file for file in manifest["files"]}
    assert files["adapter_model.safetensors"]["kind"] == "adapter"
    assert all((spec.output_dir / path).stat().st_size == file["size"] for path, file in files.items())
    config = json.loads((spec.output_dir / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base_model)

    model = AutoModelForCausalLM.from_pretrained(base_model)
    ids = torch.tensor([[10, 11, 12, 13]])
    with torch.no_grad():
        plain = model(ids).logits
        adapted = PeftModel.from_pretrained(model, str(spec.output_dir)).eval()
        assert not torch.allclose(adapted(ids).logits, plain, atol=1e-3)
        with adapted.disable_adapter():
            assert torch.allclose(adapted(ids).logits, plain, atol=1e-5)
    loss = _loss_on(adapted, base_model, spec)
    metrics = manifest["metrics"]
    assert metrics["eval_loss_after"] < metrics["eval_loss_before"]
    assert loss < metrics["eval_loss_before"], "what was saved is what was trained"


def _loss_on(model: Any, base_model: Path, spec: JobSpec) -> float:
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_model)
    losses = []
    for row in pair_rows():
        prompt = tokenizer.encode(str(row["prompt"]))
        ids = prompt + tokenizer.encode(str(row["completion"])) + [tokenizer.eos_token_id]
        labels = torch.tensor([[-100] * len(prompt) + ids[len(prompt) :]])
        with torch.no_grad():
            losses.append(float(model(input_ids=torch.tensor([ids]), labels=labels).loss))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("row", [{"text": "the cat sat"}, CHAT])
def test_text_and_chats_can_be_trained_on(tmp_path: Path, base_model: Path, row: dict[str, object]) -> None:
    spec = make_spec(tmp_path, base_model, rows=[row] * 8, max_steps=2, target_modules=["q_proj"])
    assert train_here(spec) == 2
    assert (spec.output_dir / "manifest.json").is_file()


def test_a_loss_that_is_nan_is_recorded_as_such(tmp_path: Path, base_model: Path) -> None:
    spec = make_spec(tmp_path, base_model, learning_rate=1e30, max_steps=3)
    train_here(spec)
    assert "nan" in [record["value"] for record in records(spec) if record.get("name") == "loss"]


def test_an_unknown_target_module_is_refused_with_those_that_exist(tmp_path: Path, base_model: Path) -> None:
    with pytest.raises(ConfigRejected, match="nope not in the base model; it has down_proj, gate_proj"):
        train_here(make_spec(tmp_path, base_model, target_modules=["q_proj", "nope"]))


def test_prompts_that_leave_no_room_for_a_completion_are_refused(tmp_path: Path, base_model: Path) -> None:
    with pytest.raises(BadData, match="max_seq_length: 2 cuts every completion off"):
        train_here(make_spec(tmp_path, base_model, max_seq_length=2))


def test_a_model_folder_without_weights_is_refused(tmp_path: Path, base_model: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in base_model.glob("*.json"):
        (broken / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelNotFound, match="cannot be loaded as a causal language model"):
        train_here(make_spec(tmp_path, broken))


def test_the_program_says_what_it_does_and_ends_with_status_zero(tmp_path: Path, base_model: Path) -> None:
    spec = make_spec(tmp_path, base_model, validation_split=0.25, checkpoint_steps=2, gradient_accumulation_steps=2)
    code, stdout, stderr = run(spec)
    assert code == ExitCode.OK, stderr
    for word in (
        "device: ",
        "model: ",
        "trainable",
        "12 examples",
        "4 held out",
        "step 4/4  loss",
        "checkpoint at step 2",
    ):
        assert word in stdout
    assert "Traceback" not in stderr
    assert "%|" not in stdout + stderr
    assert steps_of(spec, "eval_loss") == [0, 2, 4]
    assert steps_of(spec, "loss") == [1, 2, 3, 4]
    kinds = [record.get("phase") for record in records(spec) if record["kind"] == "phase"]
    assert kinds[:3] == ["loading_model", "loading_data", "evaluating"]
    assert kinds[-1] == "saving"
    result = records(spec)[-1]
    assert (result["kind"], result["outcome"], result["exit_code"], result["reason"]) == (
        "result",
        "succeeded",
        0,
        "OK",
    )


def test_sigterm_writes_a_checkpoint_from_which_a_second_run_goes_on(tmp_path: Path, base_model: Path) -> None:
    spec = make_spec(tmp_path, base_model, max_steps=400, validation_split=0.25)
    with running(spec) as process:
        wait_for(process, lambda: len(steps_of(spec, "loss")) >= 3)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == ExitCode.INTERRUPTED
    [checkpoint] = (tmp_path / "checkpoints").glob("checkpoint-*")
    stopped_at = int(checkpoint.name.removeprefix("checkpoint-"))
    assert records(spec)[-1]["outcome"] == "interrupted"
    assert steps_of(spec, "loss")[-1] == stopped_at
    assert not spec.output_dir.exists()

    code, stdout, stderr = run(spec.model_copy(update={"resume": True}))
    assert code == ExitCode.OK, stderr
    assert f"resuming behind step {stopped_at}" in stdout
    assert steps_of(spec, "loss") == list(range(1, 401)), "no step is missing and none is done twice"
    rates = [record["value"] for record in records(spec) if record.get("name") == "learning_rate"]
    assert rates == sorted(rates, reverse=True), "the schedule goes on where it was"
    assert json.loads((spec.output_dir / "manifest.json").read_text())["metrics"]["eval_loss_before"] is not None


def test_a_killed_training_resumes_from_its_last_whole_checkpoint(tmp_path: Path, base_model: Path) -> None:
    spec = make_spec(tmp_path, base_model, max_steps=120, checkpoint_steps=5)
    with running(spec) as process:
        wait_for(process, lambda: any((tmp_path / "checkpoints").glob("checkpoint-*")))
        process.kill()
        process.communicate(timeout=LIMIT_SECONDS)
    torn = tmp_path / "checkpoints" / "checkpoint-9999"
    torn.mkdir()
    code, stdout, stderr = run(spec.model_copy(update={"resume": True}))
    assert code == ExitCode.OK, stderr
    assert "resuming behind step" in stdout
    assert "9999" not in stdout
    assert set(steps_of(spec, "loss")) == set(range(1, 121))


def test_sigterm_while_loading_ends_the_program_at_once_with_nothing_written(tmp_path: Path, base_model: Path) -> None:
    spec = make_spec(tmp_path, base_model)
    with running(spec) as process:
        wait_for(process, lambda: bool(records(spec)))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == ExitCode.INTERRUPTED
    assert records(spec)[-1]["outcome"] == "interrupted"
    assert not spec.output_dir.exists()
