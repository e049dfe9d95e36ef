"""The command `new`."""

from __future__ import annotations

import argparse
import re
import sys
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from connector_sdk._start import StartError

LANGUAGES = ("python", "node", "go")
NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
SUFFIX = ".template"
"""Kept off what is made: without it, tools would take the templates for code of this project."""


def add_new(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a program's."""
    creating = commands.add_parser("new", help="make the project of a new connector")
    creating.add_argument("name", metavar="NAME", help="lower-case letters, digits and -")
    creating.add_argument("--language", choices=LANGUAGES, default="python")
    creating.add_argument("--folder", type=Path, metavar="FOLDER", help="where to make it; default: NAME")


def create(given: argparse.Namespace) -> int:
    """Make the project."""
    if not NAME.fullmatch(given.name):
        raise StartError(f"{given.name!r} cannot be a connector's name: use lower-case letters, digits and -.")
    folder: Path = given.folder or Path(given.name)
    if folder.exists() and any(folder.iterdir()):
        raise StartError(f"{folder} is not empty: name another --folder.")
    template = files("connector_sdk") / "templates" / given.language
    if not template.is_dir():
        raise StartError(f"There is no template for {given.language} yet: docs/protocol.md says all that is needed.")
    words = {"@NAME@": given.name, "@MODULE@": given.name.replace("-", "_"), "@CLASS@": _camel(given.name)}
    _copy(template, folder, words)
    sys.stdout.write(f"{folder} is made. Its README.md says how it is tested and checked.\n")
    return 0


def _copy(template: Traversable, folder: Path, words: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for entry in template.iterdir():
        name = _filled(entry.name, words)
        if entry.is_dir():
            _copy(entry, folder / name, words)
        elif name.endswith(SUFFIX):
            path = folder / name.removesuffix(SUFFIX)
            path.write_text(_filled(entry.read_text(encoding="utf-8"), words), encoding="utf-8")


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))
