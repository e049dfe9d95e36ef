"""The connectors of this repository conform, and so does one that was written without the SDK."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from connector_sdk.conformance import CHECKS, Credentials, Jobs, Options, Outcome, Report
from connector_sdk.conformance.target import resolve
from tests.support.conformance import ROOT, check, config, conforming, ids, options
from tests.support.sdk import training_stub
from tests.support.sdk.acme_platform import API_KEY, AcmePlatform

pytestmark = pytest.mark.process

SLOW = "logs.alive"
"""Waits for the longest silence that the protocol allows; only one connector is checked with it."""
QUICK_GROUPS = sorted({one.group for one in CHECKS} - {"logs"})
QUICK = [*QUICK_GROUPS, *(one.id for one in CHECKS if one.group == "logs" and one.id != SLOW)]


async def test_a_connector_without_the_sdk_passes_every_check_that_it_can_be_given() -> None:
    report = await check(conforming(has_chaos=True))
    assert not ids(report, Outcome.FAILED, Outcome.ADVISED)
    assert report.is_good
    assert set(ids(report, Outcome.SKIPPED)) <= {
        "socket.health_mode",
        "health.own_socket",
        "health.busy",
        "logs.offset",
        "artifacts.crc32c",
        "models.searched",
        "models.told",
        "unknown.model",
        "chaos.clock",
    }


async def test_the_laboratory_conforms() -> None:
    report = await check(_lab())
    _expect_good(report)
    assert len(ids(report, Outcome.PASSED)) > 150


async def test_the_connector_of_this_machine_conforms(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    dataset = tmp_path / "data.jsonl"
    dataset.write_text('{"prompt": "a", "completion": "b"}\n')
    program = tmp_path / "stubbed_connector.py"
    program.write_text(
        "from connectors.local.connector import LocalConnector\n\n\nclass StubbedConnector(LocalConnector):\n"
        f"    trainer = ({sys.executable!r}, {str(training_stub.__file__)!r})\n"
    )
    short, long = (config(str(tmp_path / "model"), wait=is_long) for is_long in (False, True))
    for one in (short, long):
        one.dataset_path = str(dataset)
    jobs = Jobs(short=short, long=long, is_given=True)
    command, _ = resolve([str(program)])
    report = await check(options(command, credentials=Credentials(), jobs=jobs, only=QUICK))
    _expect_good(report)
    assert len(ids(report, Outcome.PASSED)) > 150


async def test_a_connector_in_the_style_of_the_guide_conforms(tmp_path: Path) -> None:
    async with AcmePlatform().running() as platform:
        platform.takes_any_id = False
        program = tmp_path / "acme_connector.py"
        program.write_text(
            "from tests.support.sdk import acme_connector\n\n\nclass Acme(acme_connector.AcmeConnector):\n"
            f"    def __init__(self) -> None:\n        super().__init__()\n        self.base_url = {platform.url!r}\n"
        )
        command, _ = resolve([str(program)])
        credentials = Credentials(accepted={"api_key": API_KEY})
        jobs = Jobs(short=config("m"), is_given=True)
        report = await check(options(command, credentials=credentials, jobs=jobs, only=QUICK))
    _expect_good(report)
    assert len(ids(report, Outcome.PASSED)) > 130


def _lab() -> Options:
    command, _ = resolve([str(ROOT / "tests" / "support" / "plugins" / "lab_connector.py")])
    credentials = Credentials(accepted={"api_key": "key-of-the-account"}, rejected={"api_key": "revoked"})
    short, long = config("m", lines=50, artifact_bytes=600_000, digest=True), config("m", hold=True)
    jobs = Jobs(short=short, long=long, is_given=True)
    return options(command, credentials=credentials, jobs=jobs, only=QUICK, has_chaos=True)


def _expect_good(report: Report) -> None:
    assert not ids(report, Outcome.FAILED)
    assert report.is_good
