"""Make a small language model on the spot, with nothing downloaded: `python examples/base_model.py DIR`.

It is a Llama of about half a million parameters that has read the docstrings of Python's standard library for half a
minute. It knows the look of English and nothing about the elements, which makes it a base to fine-tune.
"""

from __future__ import annotations

import argparse
import ast
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

SEED = 7
VOCABULARY = 1024
PAD, END = "<pad>", "<eos>"
CONTEXT_TOKENS = 256
BATCH, SEQUENCE_TOKENS = 8, 128
COPY_BATCH, COPY_TOKENS = 32, 16
LEARNING_RATE = 6e-3
SOURCES = (
    "_pydecimal", "argparse", "calendar", "cmd", "configparser", "contextlib", "dataclasses", "difflib", "doctest",
    "enum", "fractions", "ftplib", "functools", "heapq", "imaplib", "inspect", "mailbox", "optparse", "pathlib",
    "pickletools", "random", "smtplib", "socket", "statistics", "string", "subprocess", "tarfile", "textwrap",
    "threading", "turtle", "typing", "uuid", "zipfile",
)  # fmt: skip
"""Modules of the standard library whose docstrings make good reading."""


def main() -> None:
    """Make the model and save it with its tokenizer."""
    parser = argparse.ArgumentParser(description="Make a small language model on the spot, with nothing downloaded.")
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--steps", type=int, default=500, help="steps of pre-training (default: %(default)s)")
    arguments = parser.parse_args()
    started = time.monotonic()
    parameters, loss = make_base_model(arguments.folder, arguments.steps)
    seconds = time.monotonic() - started
    print(f"base model: {parameters:,} parameters, loss {loss:.2f} after {arguments.steps} steps, {seconds:.1f} s")


def make_base_model(folder: Path, steps: int) -> tuple[int, float]:
    """Make, pre-train and save the model; the same Python and torch give the same weights.

    Returns:
        The number of parameters and the loss of the last step.
    """
    import torch
    from transformers.utils import logging as transformers_logging

    torch.manual_seed(SEED)
    texts = library_docstrings()
    tokenizer = _make_tokenizer(texts)
    model = _make_model(tokenizer)
    token_ids = torch.tensor(tokenizer.encode("\n\n".join(texts)))
    loss = _pretrain(model, token_ids, steps)
    transformers_logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return int(model.num_parameters()), loss


def library_docstrings() -> list[str]:
    """Collect docstrings of the standard library: English that is on every machine with Python."""
    texts: list[str] = []
    folder = Path(sysconfig.get_path("stdlib"))
    for path in sorted(path for name in SOURCES if (path := folder / f"{name}.py").is_file()):
        nodes = ast.walk(ast.parse(path.read_bytes()))
        documented = (node for node in nodes if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)))
        texts.extend(ast.get_docstring(node) or "" for node in documented)
    return [text for text in texts if len(text) > 80]


def _make_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=END)


def _make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        initializer_range=0.1,  # embeddings that stay small cannot name a token with confidence
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config)


def _pretrain(model: LlamaForCausalLM, token_ids: torch.Tensor, steps: int) -> float:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, total_steps=steps + 1)
    generator = torch.Generator().manual_seed(SEED)
    loss = torch.tensor(float("nan"))
    for step in range(steps):
        batch = _passages(token_ids, step, generator)
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return float(loss.detach())


def _passages(token_ids: torch.Tensor, step: int, generator: torch.Generator) -> torch.Tensor:
    """Take passages of the text; every other time short ones, each twice in a row, which teaches copying."""
    import torch

    count, length = (COPY_BATCH, COPY_TOKENS) if step % 2 else (BATCH, SEQUENCE_TOKENS)
    starts = torch.randint(len(token_ids) - length, (count,), generator=generator)
    passages = torch.stack([token_ids[start : start + length] for start in starts.tolist()])
    return torch.cat([passages, passages], dim=1) if step % 2 else passages


if __name__ == "__main__":
    main()
