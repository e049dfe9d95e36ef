"""The program's commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from connector_sdk._grpc_import import import_grpc
from connector_sdk._serving import add_attach, add_serve, serve_as_told
from connector_sdk._start import StartError
from connector_sdk.cli.creating import add_new, create
from connector_sdk.cli.protos import add_protos, write_protos_as_told

GOOD, BAD, UNUSABLE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command, and exit: 0 = done, 1 = the connector does not conform, 2 = the command cannot be used."""
    import_grpc()
    from connector_sdk.cli.checking import add_check, check

    parser = argparse.ArgumentParser(prog="peftstudio-connector", description="Write a connector, and prove it.")
    commands = parser.add_subparsers(required=True, metavar="new|serve|check|protos", dest="command")
    add_new(commands)
    add_attach(add_serve(commands))
    add_check(commands)
    add_protos(commands)
    given = parser.parse_args(arguments)
    try:
        match given.command:
            case "serve":
                serve_as_told(parser, given)
            case "new":
                sys.exit(create(given))
            case "protos":
                sys.exit(write_protos_as_told(given))
            case _:
                sys.exit(GOOD if check(given) else BAD)
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(UNUSABLE)


if __name__ == "__main__":
    main()
