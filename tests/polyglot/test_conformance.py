"""The connectors in other languages against the conformance suite, with chaos."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.polyglot import ROOT, Toolchain

pytestmark = pytest.mark.polyglot

MAIN = "from connector_sdk.cli.main import main; main()"
LIMIT = 110.0
"""Seconds: it takes 15 on an idle machine."""


async def test_the_connector_conforms(tools: Toolchain, tmp_path: Path) -> None:
    if not (ROOT / "connector_sdk" / "cli" / "main.py").is_file():
        pytest.skip("this tree has no conformance suite")
    credentials, jobs, manifest = tmp_path / "credentials", tmp_path / "jobs", tools.plugins / tools.language
    credentials.write_text(json.dumps({"accepted": {"api_key": "long enough"}, "rejected": {"api_key": "short"}}))
    short = {"baseModel": "m", "datasetPath": str(ROOT / "examples/datasets/elements.jsonl")}
    jobs.write_text(json.dumps({"short": short, "long": {**short, "options": {"program": "last"}}}))
    given = ("--credentials-file", str(credentials), "--job-file", str(jobs), str(manifest / "connector.toml"))
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", MAIN, "check", "--quiet", "--chaos", *given],
        cwd=tmp_path,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
