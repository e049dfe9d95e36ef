"""The adapter of each algorithm, as PEFT configures it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector_sdk.models import TrainingConfig
from connectors.trainer.errors import ConfigRejected

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel

_EXACT_SVD_MAX_HIDDEN_SIZE = 1024  # above it an exact decomposition of every layer takes many minutes


def adapter_config(config: TrainingConfig, model: PreTrainedModel) -> LoraConfig:
    """Say which adapter PEFT is to put on which layers of the model.

    Raises:
        ConfigRejected: if a target module does not exist; the message names those that do.

    """
    from peft import LoraConfig

    _check_targets(config.target_modules, model)
    return LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=config.base_model,
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=config.target_modules or "all-linear",
        use_rslora=config.algorithm == "rslora",
        use_dora=config.algorithm == "dora",
        init_lora_weights=_pissa_init(model) if config.algorithm == "pissa" else True,
    )


def _pissa_init(model: PreTrainedModel) -> str:
    hidden_size = getattr(model.config.get_text_config(), "hidden_size", 0)
    return "pissa" if hidden_size <= _EXACT_SVD_MAX_HIDDEN_SIZE else "pissa_niter_16"


def _check_targets(wanted: list[str], model: PreTrainedModel) -> None:
    import torch
    from transformers.pytorch_utils import Conv1D

    names = {name for name, module in model.named_modules() if isinstance(module, (torch.nn.Linear, Conv1D))}
    missing = [target for target in wanted if not any(n == target or n.endswith(f".{target}") for n in names)]
    if missing:
        existing = sorted({name.rpartition(".")[2] for name in names} - {"lm_head"})
        raise ConfigRejected(
            f"target_modules: {', '.join(missing)} not in the base model; it has {', '.join(existing)}"
        )
