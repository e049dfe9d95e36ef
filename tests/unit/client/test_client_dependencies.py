"""What the Python client needs: the core dependencies, and nothing of the gateway's."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
IMPORTED = "import gateway.client, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def names(lines: list[str]) -> set[str]:
    return {re.split(r"[<>=]", line)[0].lower() for line in lines}


def test_importing_the_client_loads_nothing_but_the_core_dependencies() -> None:
    shown = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, timeout=60, check=True)
    owners = packages_distributions()
    loaded = {owner.lower() for module in shown.stdout.split() for owner in owners.get(module, ())}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    # Checksums of chunks are a help where the library is there; grpc itself imports its companions where they are.
    welcome = {"google-crc32c", "grpcio-reflection"}
    forbidden = names([*extras["gateway"], *extras["local"], *extras["dev"]]) - welcome
    assert "grpcio" in loaded
    assert loaded & forbidden == set()
