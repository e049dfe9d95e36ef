"""The folder of final artifacts: written beside its place, then moved there whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from connector_sdk.models import TrainingConfig
from connectors.trainer.checkpoints import sync_folder, sync_tree
from connectors.trainer.records import json_number

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalMetrics:
    """The figures by which a training is judged; None where it was not measured."""

    eval_loss_before: float | None
    eval_loss_after: float | None
    train_loss: float | None


def save_output(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    config: TrainingConfig,
    metrics: FinalMetrics,
    output_dir: Path,
    initial_adapter: Path | None = None,
) -> list[Path]:
    """Write adapter, tokenizer and manifest, and return the files relative to `output_dir`.

    `initial_adapter` is the untrained adapter of an algorithm that changes the base weights; with it the result
    is converted to a plain LoRA that fits the unmodified base model.
    """
    output_dir.parent.mkdir(parents=True, exist_ok=True)
    staging = output_dir.with_name(f".{output_dir.name}.unfinished")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        conversion = str(initial_adapter) if initial_adapter else None
        model.save_pretrained(
            str(staging), save_embedding_layers=False, path_initial_model_for_weight_conversion=conversion
        )
        (staging / "README.md").unlink(missing_ok=True)  # an empty form that PEFT leaves
        tokenizer.save_pretrained(str(staging))
        files = sorted(path.relative_to(staging) for path in staging.rglob("*") if path.is_file())
        _write_manifest(staging, files, config, metrics)
        sync_tree(staging)
        os.replace(staging, output_dir)
        sync_folder(output_dir.parent)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return files


def _write_manifest(folder: Path, files: list[Path], config: TrainingConfig, metrics: FinalMetrics) -> None:
    figures = {name: None if value is None else json_number(value) for name, value in asdict(metrics).items()}
    manifest = {
        "version": 1,
        "files": [_describe(folder, path) for path in files],
        "base_model": config.base_model,
        "algorithm": config.algorithm,
        "metrics": figures,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _describe(folder: Path, path: Path) -> dict[str, str | int]:
    with (folder / path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    kind = "adapter" if path.name.startswith("adapter_") else "other"
    return {"path": path.as_posix(), "size": (folder / path).stat().st_size, "sha256": digest, "kind": kind}
