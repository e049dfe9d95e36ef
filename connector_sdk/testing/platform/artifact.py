"""A file that a job left: made of a seed, so that its bytes are the same each time they are asked for."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass

HEADER_LENGTH_BYTES = 8


@dataclass
class Artifact:
    """One file; another `version` has other bytes of the same size."""

    name: str
    size_bytes: int
    version: int = 1

    def content(self) -> bytes:
        """Return its bytes."""
        if self.name.endswith(".json"):
            return json.dumps({"peft_type": "LORA", "version": self.version}).encode()
        return _safetensors(random.Random(f"{self.name} {self.version}").randbytes(self.size_bytes))


def etag_of(content: bytes) -> str:
    """Return the etag of a file's bytes."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _safetensors(tensors: bytes) -> bytes:
    entry = {"dtype": "U8", "shape": [len(tensors)], "data_offsets": [0, len(tensors)]}
    header = json.dumps({"lora_A.weight": entry}).encode()
    return len(header).to_bytes(HEADER_LENGTH_BYTES, "little") + header + tensors
