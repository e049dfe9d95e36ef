"""Load the base model and its tokenizer, ready for an adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector_sdk.models import TrainingConfig
from connectors.trainer.chat import FALLBACK_TEMPLATE
from connectors.trainer.device import Device
from connectors.trainer.errors import ConfigRejected, HardwareUnavailable, ModelNotFound, foreseeable
from connectors.trainer.preflight import is_local_model

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(config: TrainingConfig) -> PreTrainedTokenizerBase:
    """Load the tokenizer; one without a pad token pads with its end token, one without a chat template gets ours.

    Raises:
        ModelNotFound: if the base model cannot be had.

    """
    from transformers import AutoConfig, AutoTokenizer

    is_local = is_local_model(config.base_model)
    try:
        # The smallest file first: what cannot be had is then known soonest.
        AutoConfig.from_pretrained(config.base_model, local_files_only=is_local)
        tokenizer = AutoTokenizer.from_pretrained(config.base_model, local_files_only=is_local)
    except (OSError, ValueError) as error:
        raise _not_found(config.base_model, error) from error
    if tokenizer.eos_token is None:
        raise ConfigRejected(f"base_model: the tokenizer of {config.base_model} has no end-of-sequence token")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.chat_template is None:
        tokenizer.chat_template = FALLBACK_TEMPLATE
    return tokenizer


def load_model(config: TrainingConfig, device: Device) -> PreTrainedModel:
    """Load the base model in the precision that the config and the device call for.

    Raises:
        ModelNotFound: if the base model cannot be had.
        HardwareUnavailable: if the config asks for quantization and torch sees no CUDA.

    """
    from transformers import AutoModelForCausalLM

    quantization = _quantization(config, device)
    try:
        return AutoModelForCausalLM.from_pretrained(
            config.base_model,
            local_files_only=is_local_model(config.base_model),
            # Half precision is slow and inexact on a CPU; elsewhere the weights stay as they were stored.
            dtype="float32" if device.type == "cpu" else "auto",
            quantization_config=quantization,
            device_map={"": 0} if quantization is not None else None,
        )
    except (OSError, ValueError) as error:
        raise _not_found(config.base_model, error) from error


def _quantization(config: TrainingConfig, device: Device) -> BitsAndBytesConfig | None:
    precision = "nf4" if config.algorithm == "qlora" and config.quantization is None else config.quantization
    if precision is None:
        return None
    if device.type != "cuda":
        raise HardwareUnavailable(f"quantization: {precision} needs a CUDA GPU that torch can use; torch sees none")
    import torch
    from transformers import BitsAndBytesConfig

    if precision == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4" if precision == "nf4" else "fp4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if device.bf16 else torch.float16,
    )


def _not_found(base_model: str, error: Exception) -> Exception:
    from pathlib import Path

    known = foreseeable(error, Path(base_model))
    if known is not None:
        return known
    cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if is_local_model(base_model):
        return ModelNotFound(
            f"base_model: the folder {base_model} cannot be loaded as a causal language model: {cause}"
        )
    return ModelNotFound(
        f"base_model: {base_model} not found: it is neither a folder nor reachable on the hub ({cause.rstrip('.')})"
    )
