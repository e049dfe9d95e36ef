"""The command `protos`: the contract, for languages whose code is generated from it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from peftstudio.connector.v1 import connector_service_pb2

PACKAGES = ("connector", "job")
"""What a connector needs of the contract; clients get the rest from the gateway itself, by reflection."""


def add_protos(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a program's."""
    writing = commands.add_parser("protos", help="write the contract's .proto files, or bring them up to date")
    writing.add_argument("folder", type=Path, metavar="FOLDER", help="what protoc takes with -I")


def write_protos_as_told(given: argparse.Namespace) -> int:
    """Write them where the command line says."""
    write_protos(given.folder)
    sys.stdout.write(f"{given.folder} has the contract of this version.\n")
    return 0


def write_protos(folder: Path) -> None:
    """Write the files that a connector's code is generated from."""
    contract = Path(connector_service_pb2.__file__).parents[2]
    for package in PACKAGES:
        for source in sorted((contract / package).rglob("*.proto")):
            target = folder / contract.name / source.relative_to(contract)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
