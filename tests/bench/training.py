"""A training as people submit them: the same to whoever is measured."""

from __future__ import annotations

CONFIG: dict[str, str | int | float | list[str]] = {
    "base_model": "meta-llama/Llama-3.1-8B",
    "dataset_path": "s3://datasets/support/train.jsonl",
    "algorithm": "qlora",
    "rank": 16,
    "alpha": 32.0,
    "dropout": 0.05,
    "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "quantization": "nf4",
    "learning_rate": 0.0002,
    "batch_size": 4,
    "gradient_accumulation_steps": 4,
    "num_epochs": 3.0,
    "warmup_steps": 50,
    "lr_scheduler": "cosine",
    "max_seq_length": 2048,
    "seed": 42,
}
LABELS = {"team": "support", "experiment": "rank-16"}
