"""The connector guide, from which tests take the code at run time; it is no part of this repository."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
VARIABLE = "SEED_GUIDE"
USUAL_PLACE = "../shared/seed/connector-development-guide.md"


def guide() -> str:
    """Return the guide, or skip the test and say which file is missing."""
    path = (ROOT / os.environ.get(VARIABLE, USUAL_PLACE)).resolve()
    if not path.is_file():
        pytest.skip(f"the connector guide is not at {path}: set {VARIABLE} to where it is")
    return path.read_text()


def block(heading: str) -> str:
    """Return the first code block under a heading, unchanged."""
    found = re.search(rf"^#+ {re.escape(heading)}\n.*?^```\w+\n(.*?)^```$", guide(), re.DOTALL | re.MULTILINE)
    assert found, f"the guide has no code under {heading!r}"
    return found[1]
