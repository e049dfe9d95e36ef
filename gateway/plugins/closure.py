"""The digest of all that a connector's process runs: its files, the libraries of the interpreter, the interpreter.

A digest of the program alone says nothing, because the program is the interpreter. What is hashed: every file of the
connector's folder, or its one file; name and version of every installed distribution; and the files of the SDK and of
the contract, which may be installed in place. Compiled code and hidden files do not count.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from gateway.plugins.failures import StartFailed
from gateway.plugins.folders import write_private
from gateway.plugins.model import ExitClass
from gateway.plugins.spec import ConnectorSpec

_SDK = (("connector_sdk", ""), ("peftstudio", ""), ("connectors", "base.py"))
"""Packages that every connector on the SDK runs, and which file of them; empty = all."""
_CHUNK_BYTES = 1024 * 1024


def digest_of(spec: ConnectorSpec) -> str:
    """Return the digest of a connector as it would be started now.

    Raises:
        StartFailed: Its files cannot be read.

    """
    total = hashlib.sha256()
    try:
        _add(total, _files(Path(spec.origin)))
        _add(total, _sdk())
        _add(total, _interpreter(Path(spec.command[0] if spec.command else sys.executable)))
    except OSError as error:
        raise StartFailed(f"its files cannot be read: {error}", ExitClass.TEMPORARY) from error
    return f"sha256:{total.hexdigest()}"


def sdk_digest() -> str:
    """Return the digest of all that every connector on the SDK runs besides its own files.

    Raises:
        OSError: It cannot be read.

    """
    total = hashlib.sha256()
    _add(total, _sdk())
    _add(total, _interpreter(Path(sys.executable)))
    return total.hexdigest()


def compare(pin_file: Path, digest: str) -> None:
    """Compare with the digest of the first start, which is kept.

    Raises:
        StartFailed: It is another.

    """
    try:
        pinned = pin_file.read_text().strip()
    except FileNotFoundError:
        write_private(pin_file, f"{digest}\n".encode())
        return
    except OSError as error:
        raise StartFailed(f"its digest cannot be compared: {error}", ExitClass.DIGEST_MISMATCH) from error
    if pinned != digest:
        raise StartFailed(
            f"its files, libraries or interpreter changed: the digest is {digest} and was {pinned}; if that is meant, "
            f"remove {pin_file} and restart it",
            ExitClass.DIGEST_MISMATCH,
        )


def _add(total: hashlib._Hash, part: Iterator[tuple[str, str]]) -> None:
    for name, content in part:
        total.update(f"{name}\0{content}\n".encode())


def _files(origin: Path) -> Iterator[tuple[str, str]]:
    if origin.is_file():
        yield origin.name, _hash(origin)
        return
    for path in sorted(_visible(origin.rglob("*"), origin)) if origin.is_dir() else ():
        yield str(path.relative_to(origin)), _hash(path)


def _visible(paths: Iterable[Path], root: Path) -> Iterator[Path]:
    for path in paths:
        parts = path.relative_to(root).parts
        if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in parts):
            yield path


def _sdk() -> Iterator[tuple[str, str]]:
    for package, file in _SDK:
        # Of a top-level package this imports nothing.
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            for name, content in _files(Path(place) / file):
                yield f"{package}/{name}", content


def _interpreter(program: Path) -> Iterator[tuple[str, str]]:
    if program.is_absolute() and program.exists():
        stat = program.resolve().stat()
        yield "program", _hash_of_program(program.resolve(), stat.st_size, stat.st_mtime_ns)
    if str(program) == sys.executable:
        yield "version", sys.version
        changed = tuple(Path(place).stat().st_mtime_ns for place in sys.path if Path(place).is_dir())
        yield "libraries", _libraries(changed)


@lru_cache(maxsize=16)
def _hash_of_program(path: Path, size: int, changed: int) -> str:
    return _hash(path)


@lru_cache(maxsize=4)
def _libraries(changed: tuple[int, ...]) -> str:
    """List all distributions; `changed` is when their folders did, so that it is done again only then."""
    found = {f"{one.name}=={one.version}" for one in importlib.metadata.distributions()}
    return ",".join(sorted(found))


def _hash(path: Path) -> str:
    content = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            content.update(data)
    return content.hexdigest()
