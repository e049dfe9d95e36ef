"""Options that many commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
JobRef = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job, or the beginning of it.")]
ConnectionRef = Annotated[str, typer.Argument(metavar="CONNECTION", help="Name or id of the connection.")]
ConnectorRef = Annotated[str, typer.Argument(metavar="CONNECTOR", help="Id of the connector.")]


def examples(*lines: str) -> str:
    """Write examples as the end of a command's help."""
    # Blank lines keep typer from joining the lines to one paragraph.
    return "\n\n".join(["Examples:", *(f"  $ {line}" for line in lines)])
