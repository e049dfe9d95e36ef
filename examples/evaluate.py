"""Compare a base model with and without an adapter on held-out data and on one prompt.

`python examples/evaluate.py --base-model DIR --adapter DIR --data heldout.jsonl --prompt "..."`
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH = 32
SAMPLE_TOKENS = 24
IGNORED = -100  # the label of tokens that do not count, as transformers defines it


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a model makes of the held-out data and of the prompt."""

    loss: float
    """Mean negative log-likelihood of the completions' tokens."""
    sample: str


def main() -> None:
    """Judge the base model, then the base model with the adapter."""
    arguments = _arguments()
    base, adapted = compare(arguments.base_model, arguments.adapter, arguments.data, arguments.prompt)
    if arguments.json:
        print(json.dumps({"prompt": arguments.prompt, "base": asdict(base), "adapter": asdict(adapted)}))
        return
    print(f"held-out loss  base {base.loss:.3f}  ->  with adapter {adapted.loss:.3f}")
    print(f"prompt         {_one_line(arguments.prompt)}")
    print(f"base           {_one_line(base.sample)}")
    print(f"with adapter   {_one_line(adapted.sample)}")


def compare(base_model: Path, adapter: Path, data: Path, prompt: str) -> tuple[Judgement, Judgement]:
    """Judge a base model without and with an adapter; both are read from folders, nothing is downloaded."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging

    logging.disable_progress_bar()
    warnings.simplefilter("ignore", category=FutureWarning)  # deprecations between the libraries
    examples = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines() if line.strip()]
    tokenizer = AutoTokenizer.from_pretrained(base_model, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(base_model, local_files_only=True).eval()
    base = judge(model, tokenizer, examples, prompt)
    adapted = PeftModel.from_pretrained(model, str(adapter)).eval()
    return base, judge(adapted, tokenizer, examples, prompt)


def judge(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: list[dict[str, str]], prompt: str
) -> Judgement:
    """Measure the loss on the completions of the examples, and let the model continue the prompt."""
    import torch

    total, count = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(examples), BATCH):
            batch = _batch(tokenizer, examples[start : start + BATCH])
            tokens = int((batch["labels"][:, 1:] != IGNORED).sum())
            total += float(model(**batch).loss) * tokens
            count += tokens
    return Judgement(total / max(count, 1), _continue(model, tokenizer, prompt))


def _batch(tokenizer: PreTrainedTokenizerBase, examples: list[dict[str, str]]) -> dict[str, torch.Tensor]:
    import torch

    rows = []
    for example in examples:
        prompt, completion = tokenizer.encode(example["prompt"]), tokenizer.encode(example["completion"])
        rows.append((prompt, [*completion, tokenizer.eos_token_id]))
    width = max(len(prompt) + len(completion) for prompt, completion in rows)
    shape = (len(rows), width)
    input_ids, labels = torch.full(shape, tokenizer.pad_token_id), torch.full(shape, IGNORED)
    mask = torch.zeros(shape, dtype=torch.long)
    for row, (prompt, completion) in enumerate(rows):
        end = len(prompt) + len(completion)
        input_ids[row, :end] = torch.tensor(prompt + completion)
        labels[row, len(prompt) : end] = torch.tensor(completion)
        mask[row, :end] = 1
    return {"input_ids": input_ids, "labels": labels, "attention_mask": mask}


def _continue(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str) -> str:
    import torch

    input_ids = torch.tensor([tokenizer.encode(prompt)])
    output = model.generate(
        input_ids=input_ids,
        attention_mask=torch.ones_like(input_ids),
        max_new_tokens=SAMPLE_TOKENS,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
    )
    return str(tokenizer.decode(output[0, input_ids.shape[1] :], skip_special_tokens=True)).strip()


def _one_line(text: str) -> str:
    return " / ".join(line.strip() for line in text.splitlines() if line.strip())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare a base model with and without an adapter.")
    parser.add_argument("--base-model", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--adapter", type=Path, required=True, help="folder of the adapter")
    parser.add_argument("--data", type=Path, required=True, help="held-out prompt/completion pairs, JSON Lines")
    parser.add_argument("--prompt", required=True, help="text that both continue")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


if __name__ == "__main__":
    main()
