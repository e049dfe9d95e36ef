"""JSON on the command line."""

from __future__ import annotations

import json

from gateway.cli.exit_codes import ExitCode
from gateway.cli.running import CommandError


def read_object(text: str, option: str) -> dict[str, object]:
    """Read the JSON object that an option has; anything else is a usage error."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise CommandError(f"{option} is not JSON: {error}", ExitCode.USAGE) from error

    if not isinstance(found, dict):
        raise CommandError(f"{option} must be a JSON object", ExitCode.USAGE)

    return found
