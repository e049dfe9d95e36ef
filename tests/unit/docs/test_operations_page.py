"""docs/operations.md and ARCHITECTURE.md against the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import assemble
from gateway.jobs.model import JobState
from gateway.logs.alignment import CUT, LOST
from gateway.logs.collector import TAIL_GAP
from gateway.logs.segments import DAMAGE, RETENTION
from gateway.plugins.model import ConnectorState

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "operations.md").read_text()


def test_every_option_of_the_gateway_is_explained() -> None:
    shown = CliRunner().invoke(assemble(), ["serve", "--help"], env={"COLUMNS": "200"}).output
    options = set(re.findall(r"│ (--[a-z-]+)", shown)) - {"--help"}
    assert "--port" in options
    assert [name for name in sorted(options) if f"`{name}`" not in PAGE] == []


def test_every_state_of_a_connector_and_of_a_job_is_explained() -> None:
    words = set(re.findall(r"[A-Z]{4,}", PAGE))
    assert {state.value for state in (*ConnectorState, *JobState)} <= words


def test_every_reason_of_a_gap_is_explained() -> None:
    reasons = [RETENTION, DAMAGE, TAIL_GAP, LOST, CUT]
    assert [reason for reason in reasons if f"| {' '.join(reason.split()[:3])} " not in PAGE] == []


def test_every_runtime_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["gateway"], *extras["postgres"], *extras["local"]]
    needed = {re.split(r"[<>=]", line)[0] for line in lines}
    reasons = (ROOT / "ARCHITECTURE.md").read_text().split("## Runtime dependencies")[1]
    assert [name for name in sorted(needed) if name not in reasons] == []
