"""Turn the located dataset into the train and validation sets of the datasets library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from connector_sdk.models import TrainingConfig
from connectors.trainer.dataset import HubDataset, WebDataset, locate_dataset, read_examples
from connectors.trainer.dataset_files import Row, reader_of
from connectors.trainer.dataset_shapes import Example
from connectors.trainer.errors import BadData, foreseeable

if TYPE_CHECKING:
    from datasets import Dataset

_BUILDERS = {".csv": "csv", ".parquet": "parquet", ".txt": "text"}  # everything else is taken for JSON


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples of a job, split once and for all by its seed."""

    train: Dataset
    validation: Dataset | None


def load_examples(config: TrainingConfig, cache_dir: Path) -> Examples:
    """Load and split the dataset; it is kept in memory-mapped files below `cache_dir`, not in memory.

    Raises:
        BadData: if a row cannot be used or nothing would be left to train on.

    """
    from datasets import Dataset

    source = locate_dataset(config.dataset_path)
    examples = Dataset.from_generator(
        _examples, gen_kwargs={"source": source, "cache_dir": str(cache_dir)}, cache_dir=str(cache_dir)
    )
    if config.validation_split == 0:
        return Examples(examples, None)
    if len(examples) < 2:
        raise BadData("validation_split: the dataset has one example, so none can be held out; set it to 0")
    held_out = min(max(1, round(len(examples) * config.validation_split)), len(examples) - 1)
    parts = examples.train_test_split(test_size=held_out, seed=config.seed)
    return Examples(parts["train"], parts["test"])


def _examples(source: Path | HubDataset | WebDataset, cache_dir: str) -> Iterator[Example]:
    if not isinstance(source, Path):
        yield from read_examples(_downloaded_rows(source, cache_dir), "dataset_path")
        return
    reader = reader_of(source)
    if reader is not None:
        yield from read_examples(reader(source), source.name)


def _downloaded_rows(source: HubDataset | WebDataset, cache_dir: str) -> Iterator[Row]:
    from datasets import load_dataset

    address = source.name if isinstance(source, HubDataset) else source.url
    try:
        if isinstance(source, HubDataset):
            dataset = load_dataset(source.name, split=source.split)
        else:
            builder = _BUILDERS.get(Path(source.url.partition("?")[0]).suffix.lower(), "json")
            dataset = load_dataset(builder, data_files=source.url, split="train", cache_dir=cache_dir)
    except Exception as error:  # whatever goes wrong on the way is for the user the same: not to be had
        raise foreseeable(error, Path(cache_dir)) or _not_had(address, error) from error
    for number, row in enumerate(dataset, start=1):
        yield Row(f"row {number}", row if isinstance(row, Mapping) else None)


def _not_had(address: str, error: Exception) -> BadData:
    cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return BadData(f"dataset_path: {address} cannot be loaded: {cause}")
