"""`python -m connector_sdk serve FILE_OR_MODULE[:CLASS]`: what a connector's manifest has as its command.

`template` is what a gateway starts to have such processes forked; it is not meant for anybody else.
"""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from connector_sdk._grpc_import import import_grpc
from connector_sdk._serving import add_serve, serve_as_told
from connector_sdk._start import StartError


def main() -> NoReturn:
    """Serve the connector that the command line names."""
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.command == "template":
        _be_template()
        # From here on this is a process that was forked, with arguments of its own.
        arguments = parser.parse_args()
    serve_as_told(parser, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m connector_sdk")
    commands = parser.add_subparsers(required=True, metavar="serve", dest="command")
    commands.add_parser("template")
    add_serve(commands)
    return parser


def _be_template() -> None:
    import_grpc()
    from connector_sdk import _becoming, _template

    try:
        order, ends = _template.await_order()
    except StartError as error:
        sys.exit(str(error))
    _becoming.become(order, ends)


if __name__ == "__main__":
    main()
