"""Checkpoints that are complete or absent.

A checkpoint is written below `checkpoints/.unfinished/` and moved into place when its bytes are on the disk, so
a folder named `checkpoint-N` directly below `checkpoints/` is always one to resume from.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

_KEPT = 2  # the newest, and the one before it in case the newest cannot be read
_NAME = re.compile(r"checkpoint-(\d+)")
_STATE_FILE = "trainer_state.json"


class CheckpointFolder:
    """The `checkpoints/` folder of a job."""

    def __init__(self, work_dir: Path) -> None:
        self._folder = work_dir / "checkpoints"
        self.unfinished = self._folder / ".unfinished"
        """Where a checkpoint is written first; nothing in it is ever resumed from."""

    def prepare(self) -> None:
        """Make the folder and throw away what an earlier run did not finish."""
        shutil.rmtree(self.unfinished, ignore_errors=True)
        self.unfinished.mkdir(parents=True)

    def latest(self) -> Path | None:
        """Find the complete checkpoint with the highest step."""
        found = self._complete()
        return found[-1] if found else None

    def publish(self, step: int) -> Path:
        """Move the checkpoint that was written for a step into place, and drop those that are no longer needed."""
        source, target = self.unfinished / f"checkpoint-{step}", self._folder / f"checkpoint-{step}"
        sync_tree(source)
        shutil.rmtree(target, ignore_errors=True)
        source.rename(target)
        sync_folder(self._folder)
        for outdated in self._complete()[:-_KEPT]:
            shutil.rmtree(outdated, ignore_errors=True)
        return target

    def _complete(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        found = [path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)]
        return sorted((path for path in found if (path / _STATE_FILE).is_file()), key=step_of)


def step_of(checkpoint: Path) -> int:
    """Give the optimizer step at which a checkpoint was taken."""
    match = _NAME.fullmatch(checkpoint.name)
    return int(match[1]) if match else 0


def sync_tree(folder: Path) -> None:
    """Force every file of a folder to the disk."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
