"""The command `serve`, which both of the SDK's programs have."""

from __future__ import annotations

import argparse
import functools
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

from connector_sdk._handshake import HANDSHAKE
from connector_sdk._load import load
from connector_sdk._start import STDIN, ExitCode
from connector_sdk.serve import serve_at, serve_loaded


def add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command to a program's."""
    serving = commands.add_parser("serve", help="serve a connector to the gateway that starts this process")
    serving.add_argument("target", metavar="FILE_OR_MODULE[:CLASS]")
    serving.add_argument("--listen", metavar="HOST:PORT", help="serve gateways elsewhere, at this address")
    serving.add_argument("--token-file", type=Path, metavar="FILE", help="secret that those gateways have, too")
    serving.add_argument("--tls-certificate", type=Path, metavar="PEM", help="its certificate chain")
    serving.add_argument("--tls-key", type=Path, metavar="PEM", help="the certificate's private key")
    serving.add_argument(
        "--client-ca", type=Path, metavar="PEM", help="who must have signed the gateways' certificates"
    )
    return serving


def add_attach(serving: argparse.ArgumentParser) -> None:
    """Let the command be run by hand."""
    serving.add_argument(
        "--bootstrap",
        type=Path,
        metavar="FILE",
        help='serve the gateway that wrote this bootstrap.json, because it has "attach": true, until Ctrl-C',
    )


def serve_as_told(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> NoReturn:
    """Serve the connector that the command line names."""
    find = functools.partial(load, arguments.target)
    if arguments.listen is None:
        if getattr(arguments, "bootstrap", None) is not None:
            _attach(arguments.bootstrap)
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


def _attach(bootstrap: Path) -> None:
    """Put the bootstrap where a gateway would, with a lifeline that only this process can end."""
    try:
        line = bootstrap.read_bytes().rstrip(b"\n") + b"\n"
    except OSError as error:
        sys.stderr.write(f'{bootstrap} cannot be read ({error.strerror}): the gateway writes it for "attach": true.\n')
        sys.exit(ExitCode.CONFIGURATION)
    _tell_of_the_handshake()
    reader, writer = os.pipe()
    os.write(writer, line)
    os.dup2(reader, STDIN)
    os.close(reader)
    # Ctrl-C drains, as an end by a supervisor does.
    signal.signal(signal.SIGINT, lambda *_: os.kill(os.getpid(), signal.SIGTERM))


def _tell_of_the_handshake() -> None:
    """Read in the gateway's place what is written to descriptor 3, and say in the terminal that it serves."""
    reader, writer = os.pipe()
    if reader == HANDSHAKE:
        reader = os.dup(reader)
    if writer != HANDSHAKE:
        os.dup2(writer, HANDSHAKE, inheritable=False)
        os.close(writer)

    def tell() -> None:
        with os.fdopen(reader, encoding="utf-8") as pipe:
            address = json.loads(pipe.readline() or "{}").get("address")
        if address:
            sys.stderr.write(f"serves the gateway at {address}; Ctrl-C ends it\n")

    threading.Thread(target=tell, daemon=True).start()
