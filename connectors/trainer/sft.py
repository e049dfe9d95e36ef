"""Put model, data and adapter into TRL's supervised trainer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from connector_sdk.models import TrainingConfig
from connectors.trainer.data import Examples
from connectors.trainer.device import Device

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from trl import SFTConfig, SFTTrainer

    from connectors.trainer.reporting import Reporter


def make_trainer(
    config: TrainingConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    adapter: LoraConfig,
    examples: Examples,
    device: Device,
    checkpoint_dir: Path,
    reporter: Reporter,
) -> SFTTrainer:
    """Make the trainer; the adapter is put on the model and the data is tokenized here."""
    from transformers import PrinterCallback
    from trl import SFTTrainer

    is_chat = "messages" in examples.train.column_names
    trainer = SFTTrainer(
        model=model,
        args=_arguments(config, model, device, checkpoint_dir, is_chat and _marks_the_assistant(tokenizer)),
        train_dataset=examples.train,
        eval_dataset=examples.validation,
        processing_class=tokenizer,
        peft_config=adapter,
        callbacks=[reporter],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(
    config: TrainingConfig, model: PreTrainedModel, device: Device, checkpoint_dir: Path, assistant_only: bool
) -> SFTConfig:
    from trl import SFTConfig

    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None) or config.max_seq_length
    return SFTConfig(
        output_dir=str(checkpoint_dir),
        learning_rate=config.learning_rate,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        num_train_epochs=config.num_epochs,
        max_steps=config.max_steps or -1,
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        lr_scheduler_type=config.lr_scheduler,
        max_length=min(config.max_seq_length, positions),
        assistant_only_loss=assistant_only,
        logging_steps=config.logging_steps,
        logging_nan_inf_filter=False,  # a loss that is NaN must be seen
        save_strategy="no",  # the reporter decides when a checkpoint is due
        seed=config.seed,
        data_seed=config.seed,
        report_to="none",
        disable_tqdm=True,
        prediction_loss_only=True,
        bf16=device.bf16,
        use_cpu=device.type == "cpu",
        dataloader_pin_memory=device.type == "cuda",
        gradient_checkpointing=device.type == "cuda",  # memory is what a GPU lacks; a CPU lacks time
    )


def _marks_the_assistant(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Tell whether the chat template says which tokens are the assistant's; else the whole chat is learnt."""
    return "{% generation" in tokenizer.chat_template or "{%- generation" in tokenizer.chat_template
