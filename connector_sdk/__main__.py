"""`python -m connector_sdk serve FILE_OR_MODULE[:CLASS]`: what a connector's manifest has as its command.

`template` is what a gateway starts to have such processes forked; it is not meant for anybody else.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from pathlib import Path
from typing import NoReturn

from connector_sdk._load import load
from connector_sdk._start import StartError
from connector_sdk.serve import GRPC_ENVIRONMENT, serve_at, serve_loaded


def main() -> NoReturn:
    """Serve the connector that the command line names."""
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.command == "template":
        _be_template()
        # From here on this is a process that was forked, with arguments of its own.
        arguments = parser.parse_args()
    find = functools.partial(load, arguments.target)
    if arguments.listen is None:
        serve_loaded(find)
    if arguments.token_file is None:
        parser.error("--listen needs --token-file: openssl rand -hex 32 > FILE")
    serve_at(
        find,
        address=arguments.listen,
        token_file=arguments.token_file,
        certificate=arguments.tls_certificate,
        key=arguments.tls_key,
        client_ca=arguments.client_ca,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m connector_sdk")
    commands = parser.add_subparsers(required=True, metavar="serve", dest="command")
    commands.add_parser("template")
    serving = commands.add_parser("serve", help="serve a connector to the gateway that starts this process")
    serving.add_argument("target", metavar="FILE_OR_MODULE[:CLASS]")
    serving.add_argument("--listen", metavar="HOST:PORT", help="serve gateways elsewhere, at this address")
    serving.add_argument("--token-file", type=Path, metavar="FILE", help="secret that those gateways have, too")
    serving.add_argument("--tls-certificate", type=Path, metavar="PEM", help="its certificate chain")
    serving.add_argument("--tls-key", type=Path, metavar="PEM", help="the certificate's private key")
    serving.add_argument(
        "--client-ca", type=Path, metavar="PEM", help="who must have signed the gateways' certificates"
    )
    return parser


def _be_template() -> None:
    os.environ.update(GRPC_ENVIRONMENT)
    from connector_sdk import _becoming, _template  # gRPC reads its environment when it is imported

    try:
        order, ends = _template.await_order()
    except StartError as error:
        sys.exit(str(error))
    _becoming.become(order, ends)


if __name__ == "__main__":
    main()
