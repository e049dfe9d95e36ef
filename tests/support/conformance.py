"""Run the conformance suite over connectors of the tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from connector_sdk.conformance import Credentials, Jobs, Options, Outcome, Report, run
from connector_sdk.conformance.options import to_config
from connector_sdk.conformance.target import allowed_environment
from peftstudio.job.v1.training_config_pb2 import TrainingConfig

ROOT = Path(__file__).parents[2]
CONFORMING = (sys.executable, "-m", "tests.support.conforming")
KEY = "good-key-of-the-account"
ENVIRONMENT = {**allowed_environment(os.environ, ()), "PYTHONPATH": str(ROOT)}


def config(base_model: str, **options: object) -> TrainingConfig:
    """Make a configuration."""
    given = {"baseModel": base_model, "datasetPath": "d", "options": options}
    return to_config(given, "a test")


def conforming(*faults: str, only: Sequence[str] = (), has_chaos: bool = False) -> Options:
    """Choose the connector that conforms, with these faults."""
    return options(
        (*CONFORMING, *faults),
        credentials=Credentials(accepted={"api_key": KEY}),
        jobs=Jobs(short=config("short"), long=config("long"), is_given=True),
        only=only,
        has_chaos=has_chaos,
    )


def options(
    command: Sequence[str],
    *,
    credentials: Credentials,
    jobs: Jobs,
    only: Sequence[str] = (),
    has_chaos: bool = False,
    environment: Mapping[str, str] = ENVIRONMENT,
) -> Options:
    """Choose any connector."""
    return Options(
        command=command,
        environment=environment,
        credentials=credentials,
        jobs=jobs,
        only=only,
        has_chaos=has_chaos,
    )


async def check(chosen: Options) -> Report:
    """Run the checks."""
    return await run(chosen)


def ids(report: Report, *outcomes: Outcome) -> dict[str, str]:
    """Give the checks that ended so, and what was seen."""
    return {result.check.id: result.seen for result in report.results if result.outcome in outcomes}
