"""docs/failures.md against the tests that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.plugins.overrides import Overrides

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
FAILURES = {f"F{number}" for number in range(1, 23)}
ROW = re.compile(r"^\| (F\d+) \| .+ \| `(tests/\S+\.py)::(test_\w+)` \|$", re.MULTILINE)


def rows() -> list[tuple[str, ...]]:
    return ROW.findall((ROOT / "docs" / "failures.md").read_text())


def test_every_failure_has_one_row_with_one_test() -> None:
    ids = [row[0] for row in rows()]
    assert sorted(ids) == sorted(FAILURES)


def test_every_test_that_the_page_names_exists_and_none_serves_twice() -> None:
    named = [(path, name) for _, path, name in rows()]
    assert len(set(named)) == len(named)
    missing = [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text()]
    assert missing == []


def test_every_failure_that_a_test_file_names_is_on_the_page() -> None:
    tests = (ROOT / "tests" / "process").rglob("test_*.py")
    marked = {(number, name) for path in tests for number, name in MARK.findall(path.read_text())}
    assert marked == {(number, name) for number, _, name in rows()}


MARK = re.compile(r"^# (F\d+)\n(?:@.*\n)*(?:async )?def (test_\w+)\(", re.MULTILINE)


def test_every_limit_of_a_manifest_is_explained() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    assert [name for name in Overrides.model_fields if f"`{name}`" not in page] == []
