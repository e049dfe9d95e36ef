"""`peftstudio-connector new` makes a project that passes everything at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from connector_sdk.testing import fake_platform
from gateway.plugins.manifest import read_manifest

pytestmark = pytest.mark.process

PROGRAM = (sys.executable, "-m", "connector_sdk.cli.main")
WAIT_SECONDS = 110


def program(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run one command of the program."""
    return subprocess.run([*PROGRAM, *arguments], cwd=cwd, capture_output=True, text=True, timeout=WAIT_SECONDS)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = program("new", "my-cloud", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    return tmp_path / "my-cloud"


def test_a_new_project_has_a_manifest_that_the_gateway_reads(project: Path) -> None:
    spec = read_manifest(project / "connector.toml")
    assert (spec.id, spec.problem) == ("my-cloud", "")
    assert tomllib.loads((project / "pyproject.toml").read_text())["project"]["name"] == "my-cloud-connector"
    assert not [path for path in project.rglob("*") if path.is_file() and "@" in path.read_text().split("uses:")[0]]
    assert (project / ".github" / "workflows" / "check.yml").exists()


@pytest.mark.timeout(WAIT_SECONDS)
def test_the_tests_of_a_new_project_pass(project: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=WAIT_SECONDS, env=os.environ)
    assert run.returncode == 0, run.stdout[-3000:]
    assert "3 passed" in run.stdout


async def test_a_new_project_conforms_by_hand(project: Path) -> None:
    async with fake_platform() as platform:
        rejected = {**platform.credentials, "api_key": "a-key-that-nobody-has"}
        given = {"accepted": platform.credentials, "rejected": rejected}
        (project / "credentials.json").write_text(json.dumps(given))
        files = ("--credentials-file", "credentials.json", "--job-file", "job.json", "--json", "report.json")
        groups = [word for group in ("connections", "jobs", "unknown", "values") for word in ("--only", group)]
        run = program("check", *files, *groups, "connector.toml", cwd=project)
    report = json.loads((project / "report.json").read_text())
    assert run.returncode == 0, run.stdout
    assert report["conforms"]
    assert report["counts"]["advised"] == 0, run.stdout


def test_a_new_project_conforms_before_there_is_an_account(project: Path) -> None:
    groups = [word for group in ("handshake", "describe", "schemas", "connections") for word in ("--only", group)]
    run = program("check", *groups, "connector.toml", cwd=project)
    assert run.returncode == 0, run.stdout
    assert " 0 failed, 0 advised, " in run.stdout


def test_names_and_folders_that_cannot_be_used_are_refused(project: Path) -> None:
    refused = program("new", "My Cloud", cwd=project.parent)
    assert (refused.returncode, "lower-case" in refused.stderr) == (2, True)
    again = program("new", "my-cloud", cwd=project.parent)
    assert (again.returncode, "not empty" in again.stderr) == (2, True)
