"""The training itself: from a checked spec to an artifact folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.trainer.adapter import adapter_config
from connectors.trainer.checkpoints import CheckpointFolder, step_of
from connectors.trainer.data import Examples, load_examples
from connectors.trainer.device import Device, choose_device
from connectors.trainer.errors import BadData, Interrupted
from connectors.trainer.interruption import Interruption
from connectors.trainer.model import load_model, load_tokenizer
from connectors.trainer.output import FinalMetrics, save_output
from connectors.trainer.quiet import silence_libraries
from connectors.trainer.records import RecordWriter
from connectors.trainer.sft import make_trainer
from connectors.trainer.spec import JobSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from trl import SFTTrainer

    from connectors.trainer.reporting import Reporter

_INITIAL_ADAPTER = "initial"  # PEFT takes the folder's name for an adapter's; it must not be "default"


@dataclass(frozen=True, slots=True)
class _Run:
    """What the steps of one run share."""

    spec: JobSpec
    records: RecordWriter
    interruption: Interruption
    checkpoints: CheckpointFolder
    tokenizer: PreTrainedTokenizerBase
    trainer: SFTTrainer
    reporter: Reporter


def train(spec: JobSpec, records: RecordWriter, interruption: Interruption) -> int:
    """Train, save the artifacts and return the step at which the training ended.

    Raises:
        TrainerError: if the user has to cure something.
        Interrupted: if a signal asked to stop; a checkpoint of what was done is there.

    """
    cache_dir = spec.work_dir / "cache"
    shutil.rmtree(cache_dir, ignore_errors=True)
    run = _prepare(spec, records, interruption, cache_dir)
    initial_adapter = _keep_initial_adapter(run)
    before = _baseline(run)
    try:
        _run_steps(run)
        after = _evaluate(run)
    except Interrupted:
        _save_unsaved_step(run)
        raise
    records.phase("saving")
    metrics = FinalMetrics(eval_loss_before=before, eval_loss_after=after, train_loss=_last_loss(run.trainer))
    save_output(run.trainer.model, run.tokenizer, spec.config, metrics, spec.output_dir, initial_adapter)
    shutil.rmtree(cache_dir, ignore_errors=True)
    return int(run.trainer.state.global_step)


def _prepare(spec: JobSpec, records: RecordWriter, interruption: Interruption, cache_dir: Path) -> _Run:
    from connectors.trainer.reporting import Reporter

    config = spec.config
    silence_libraries()
    checkpoints = CheckpointFolder(spec.work_dir)
    checkpoints.prepare()
    records.phase("loading_model")
    device = choose_device()
    print(f"device: {device.type} ({device.name})", flush=True)
    tokenizer = load_tokenizer(config)
    model = load_model(config, device)
    records.phase("loading_data")
    examples = load_examples(config, cache_dir)
    reporter = Reporter(records, interruption, checkpoints, config.checkpoint_steps)
    adapter = adapter_config(config, model)
    trainer = make_trainer(config, model, tokenizer, adapter, examples, device, checkpoints.unfinished, reporter)
    _describe(spec, trainer, examples, device)
    return _Run(spec, records, interruption, checkpoints, tokenizer, trainer, reporter)


def _describe(spec: JobSpec, trainer: SFTTrainer, examples: Examples, device: Device) -> None:
    config, usable = spec.config, len(trainer.train_dataset)
    trainable, total = trainer.model.get_nb_trainable_parameters()
    share = 100 * trainable / total
    print(f"model: {config.base_model}, {total - trainable:,} parameters", flush=True)
    print(f"adapter: {config.algorithm}, rank {config.rank}, {trainable:,} trainable ({share:.2f} %)", flush=True)
    held_out = len(examples.validation) if examples.validation is not None else 0
    print(f"data: {len(examples.train):,} examples to train on, {held_out:,} held out", flush=True)
    if usable == 0:
        raise BadData(f"max_seq_length: {config.max_seq_length} cuts every completion off; raise it or shorten prompts")
    if usable < len(examples.train):
        skipped = len(examples.train) - usable
        print(f"data: {skipped:,} examples are skipped, max_seq_length cuts their completion off", flush=True)


def _keep_initial_adapter(run: _Run) -> Path | None:
    """Save the untrained adapter where the base weights changed with it, to convert the result in the end."""
    if run.spec.config.algorithm != "pissa":
        return None
    folder = run.spec.work_dir / "cache" / _INITIAL_ADAPTER
    run.trainer.model.save_pretrained(str(folder), save_embedding_layers=False)
    return folder


def _baseline(run: _Run) -> float | None:
    """Measure the model before the first step; a resumed run reads what the first one measured."""
    file = run.spec.work_dir / "baseline.json"
    if run.spec.resume and file.is_file():
        known: float | None = json.loads(file.read_text(encoding="utf-8"))["eval_loss"]
        return known
    loss = _evaluate(run)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps({"eval_loss": loss}), encoding="utf-8")
    partial.replace(file)
    return loss


def _run_steps(run: _Run) -> None:
    trainer = run.trainer
    checkpoint = run.checkpoints.latest() if run.spec.resume else None
    run.reporter.evaluate = lambda: _evaluate_between(run)
    run.records.phase("training")
    if checkpoint is None:
        trainer.train()
    elif _is_finished(checkpoint):
        _load_finished(trainer, checkpoint)
    else:
        print(f"resuming behind step {step_of(checkpoint)}", flush=True)
        trainer.train(resume_from_checkpoint=str(checkpoint))
    if run.interruption.requested:
        raise Interrupted


def _is_finished(checkpoint: Path) -> bool:
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return bool(state["global_step"] >= state["max_steps"])


def _load_finished(trainer: SFTTrainer, checkpoint: Path) -> None:
    """Take over a checkpoint that needs no further step; the trainer itself would do one too many."""
    from transformers import TrainerState

    trainer._load_from_checkpoint(str(checkpoint))
    trainer.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))


def _evaluate(run: _Run) -> float | None:
    if run.trainer.eval_dataset is None:
        return None
    run.records.phase("evaluating")
    loss = float(run.trainer.evaluate()["eval_loss"])
    print(f"eval loss {loss:.3f} at step {run.trainer.state.global_step}", flush=True)
    return loss


def _evaluate_between(run: _Run) -> None:
    if _evaluate(run) is not None:
        run.records.phase("training")


def _save_unsaved_step(run: _Run) -> None:
    trainer, reporter = run.trainer, run.reporter
    if trainer.state.global_step > 0 and reporter.saved_step != trainer.state.global_step:
        trainer._save_checkpoint(trainer.model, None)
        reporter.on_save(trainer.args, trainer.state, trainer.control)


def _last_loss(trainer: SFTTrainer) -> float | None:
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return float(losses[-1]) if losses else None
