"""Find the command that a user means by a target."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from connector_sdk._start import StartError

SERVE = (sys.executable, "-m", "connector_sdk", "serve")
MANIFEST_SUFFIX = ".toml"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
ALLOWED = frozenset(
    {"PATH", "HOME", "LANG", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", *PROXIES}
    | {name.lower() for name in PROXIES}
)
"""What every connector may know of the environment: docs/protocol.md, being launched."""


def resolve(target: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the command of `TARGET ARGUMENT…`, and the variables that its manifest asks for.

    A target is a `connector.toml`, a Python file or module with a connector's class, or a program and its arguments.
    """
    first, *rest = target
    if not rest and first.endswith(MANIFEST_SUFFIX):
        return _manifest(Path(first))
    if not rest and _is_class(first):
        return (*SERVE, _absolute(first)), ()
    # The program starts in another folder, as with a gateway.
    return tuple(_absolute(part) for part in target), ()


def allowed_environment(environment: Mapping[str, str], declared: Iterable[str]) -> dict[str, str]:
    """Give what a connector may see of `environment`: the allow-list, and what is declared."""
    names = ALLOWED | set(declared)
    return {name: value for name, value in environment.items() if name in names or name.startswith("LC_")}


def _is_class(target: str) -> bool:
    place, colon, name = target.rpartition(":")
    if colon and name.isidentifier():
        return True
    path = Path(target)
    if not target.endswith(".py"):
        return not path.exists() and "." in target and "/" not in target
    is_program = os.access(path, os.X_OK) and path.read_bytes()[:2] == b"#!"
    return not is_program and bool(target or place)


def _absolute(part: str) -> str:
    place, colon, name = part.rpartition(":")
    if colon and name.isidentifier() and Path(place).is_file():
        return f"{Path(place).resolve()}:{name}"
    # Not resolved: the path of a virtual environment's interpreter says which environment it is.
    return str(Path(part).absolute()) if Path(part).is_file() else part


def _manifest(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        manifest = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StartError(f"{path} cannot be read: {error}") from error
    command, env = manifest.get("command"), manifest.get("env", {})
    if not isinstance(command, list) or not command or not all(isinstance(part, str) for part in command):
        raise StartError(f'{path}: command must be a list of texts: ["{{python}}", "{{dir}}/connector.py"].')
    folder = str(path.parent.resolve())
    filled = tuple(part.replace("{python}", sys.executable).replace("{dir}", folder) for part in command)
    return filled, tuple(str(name) for name in env.get("allow", ()))
