"""The registry of this machine: a folder with the adapters that were put there."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue


def register(registry: Path, source: Path, metadata: Mapping[str, JsonValue]) -> str:
    """Copy a file and what is known about it into the registry, and return its name there.

    A file of the same name is replaced at once, so that a reader sees the old one or the new one.
    """
    registry.mkdir(parents=True, exist_ok=True)
    details = json.dumps(metadata, indent=2, ensure_ascii=False).encode() + b"\n"
    with tempfile.TemporaryDirectory(prefix=".new-", dir=registry) as staging:
        copy, note = Path(staging, "file"), Path(staging, "metadata")
        shutil.copyfile(source, copy)
        note.write_bytes(details)
        os.replace(copy, registry / source.name)
        os.replace(note, registry / f"{source.name}.metadata.json")
    return source.name
