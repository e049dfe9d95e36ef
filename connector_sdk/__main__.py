"""`python -m connector_sdk serve FILE_OR_MODULE[:CLASS]`: what a connector's manifest has as its command."""

from __future__ import annotations

import argparse
import functools

from connector_sdk._load import load
from connector_sdk.serve import serve_loaded


def main() -> None:
    """Serve the connector that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m connector_sdk")
    commands = parser.add_subparsers(required=True, metavar="serve")
    serving = commands.add_parser("serve", help="serve a connector to the gateway that starts this process")
    serving.add_argument("target", metavar="FILE_OR_MODULE[:CLASS]")
    serve_loaded(functools.partial(load, parser.parse_args().target))


if __name__ == "__main__":
    main()
