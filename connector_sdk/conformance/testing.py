"""Check a connector in a test of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from connector_sdk.conformance.options import Credentials, Jobs, Options, to_config
from connector_sdk.conformance.result import Report
from connector_sdk.conformance.runner import run
from connector_sdk.conformance.target import allowed_environment, resolve


async def check_target(
    *target: str,
    credentials: Mapping[str, str],
    short: Mapping[str, object],
    rejected: Mapping[str, str] | None = None,
    long: Mapping[str, object] | None = None,
    only: Sequence[str] = (),
    has_chaos: bool = False,
) -> Report:
    """Check `connector.toml`, a Python file, or a program with its arguments.

    Args:
        target: What `peftstudio-connector check` takes.
        credentials: What the platform accepts.
        short: The configuration of a job that ends by itself, within seconds.
        rejected: Credentials that the platform refuses; None = made up.
        long: That of a job that runs until it is cancelled; None = what needs one is skipped.
        only: Groups or ids of checks; empty = all.
        has_chaos: Whether the connector is killed and frozen, too.

    """
    command, declared = resolve(target)
    jobs = Jobs(
        short=to_config(dict(short), "short"),
        long=None if long is None else to_config(dict(long), "long"),
        is_given=True,
    )
    options = Options(
        command=command,
        environment=allowed_environment(os.environ, declared),
        credentials=Credentials(accepted=credentials, rejected=rejected),
        jobs=jobs,
        only=only,
        has_chaos=has_chaos,
    )
    return await run(options)
