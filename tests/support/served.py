"""Connectors on the SDK that a test writes, and what is to be known of the template that they are forked from."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import psutil

from gateway.plugins.spec import ConnectorSpec

LAB = Path(__file__).with_name("plugins") / "lab_connector.py"


def served(path: Path = LAB, connector_id: str = "plain", env_allow: tuple[str, ...] = ()) -> ConnectorSpec:
    """Return a connector that is a file, launched as discovery would have it launched."""
    command = (sys.executable, "-m", "connector_sdk", "serve", str(path))
    return ConnectorSpec(id=connector_id, origin=str(path), command=command, env_allow=env_allow)


def lab_with(folder: Path, words: str, name: str = "mine_connector.py") -> Path:
    """Write a connector that does something when it is imported, and is the laboratory otherwise."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(
        f"{words}\n\nfrom tests.support.plugins.lab_connector import LabConnector\n\n\n"
        "class MineConnector(LabConnector):\n    name = 'mine'\n"
    )
    return path


def templates() -> list[psutil.Process]:
    """Return the templates of this process that live."""
    found = []
    for one in psutil.Process().children():
        with suppress(psutil.Error):
            if one.cmdline()[1:] == ["-m", "connector_sdk", "template"]:
                found.append(one)
    return found
