"""The command `new`."""

from __future__ import annotations

import argparse
import re
import sys
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from connector_sdk._start import StartError
from connector_sdk.cli.protos import write_protos

LANGUAGES = ("python", "node", "go")
WITH_STUBS = "python"
"""The language whose stubs come with this package: projects in the others have the contract's files."""
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME = 40
SUFFIX = ".template"
"""Kept off what is made: without it, tools would take the templates for code of this project."""
NOT_COPIED = frozenset({"protos", "node_modules", "gen", "bin"})
"""What is written or built anew in each project, and may lie in an example, too."""


def add_new(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a program's."""
    creating = commands.add_parser("new", help="make the project of a new connector")
    creating.add_argument("name", metavar="NAME", help="lower-case letters, digits and single -")
    creating.add_argument("--language", choices=LANGUAGES, default="python", help="default: %(default)s")
    creating.add_argument("--folder", type=Path, metavar="FOLDER", help="where to make it; default: NAME")


def create(given: argparse.Namespace) -> int:
    """Make the project."""
    name: str = given.name
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise StartError(
            f"{name!r} cannot be a connector's name: use lower-case letters, digits and single -, "
            f"{LONGEST_NAME} at most, with a letter first."
        )
    folder: Path = given.folder or Path(name)
    try:
        if folder.exists() and any(folder.iterdir()):
            raise StartError(f"{folder} is not empty: name another --folder.")
        _copy(files("connector_sdk") / "templates" / given.language, folder, _words(name, given.language))
        if given.language != WITH_STUBS:
            write_protos(folder / "protos")
    except OSError as error:
        raise StartError(f"{folder} cannot be made: {error.strerror}.") from error
    sys.stdout.write(f"{folder} is made. Next: cd {folder}, and what its README.md says.\n")
    return 0


def _words(name: str, language: str) -> dict[str, str]:
    """Give what stands for the name in a template; those of other languages are the examples, under their own names."""
    camel = "".join(part.capitalize() for part in name.split("-"))
    return {"@NAME@": name, "@MODULE@": name.replace("-", "_"), "@CLASS@": camel, f"workbench-{language}": name}


def _copy(template: Traversable, folder: Path, words: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for entry in template.iterdir():
        if entry.name in NOT_COPIED:
            continue
        path = folder / _filled(entry.name.removesuffix(SUFFIX), words)
        if entry.is_dir():
            _copy(entry, path, words)
            continue
        text = entry.read_text(encoding="utf-8")
        path.write_text(_filled(text, words), encoding="utf-8")
        if text.startswith("#!"):
            path.chmod(0o755)


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text
