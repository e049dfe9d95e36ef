"""The examples in other languages, built the way their authors would, in the cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.go_modules import SOURCES, missing_modules, modules_environment

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "polyglot"
PROGRAMS = ROOT / "tests" / "polyglot" / "programs"
BUILD_SECONDS = 300
"""npm over a slow line, or Go's first compilation of gRPC on a slow machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """What one language's examples are run with."""

    language: str
    plugins: Path
    """Folder to be given to `peftstudio serve --plugins`: has the connector."""
    client: tuple[str, ...]
    """How the client is called."""

    @property
    def connector_id(self) -> str:
        return f"workbench-{self.language}"

    @property
    def connector(self) -> tuple[str, ...]:
        """How the connector is called, as its manifest says."""
        folder = self.plugins / self.language
        program = ("node", f"{folder}/connector.mjs") if self.language == "node" else (f"{folder}/bin/workbench-go",)
        return (*program, str(folder / "programs"))


def toolchain(language: str) -> Toolchain:
    """Build the examples of a language where that has not been done, or skip the test and say what is missing."""
    folder = CACHE / language
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _BUILDERS[language](folder)


def need_node() -> None:
    """Skip the test where Node is missing."""
    _need("node", "npm", hint="install Node 18.20 or newer with npm")


def need_go() -> dict[str, str]:
    """Skip the test where Go or a package is missing, and give the environment that Go is used in."""
    _need("go", "make", "protoc", "protoc-gen-go", "protoc-gen-go-grpc", hint="install what .ci/run names")
    if missing := missing_modules():
        pytest.skip(f"no {', '.join(missing)} in {SOURCES}: install Debian's packages that .ci/run names")
    folder = CACHE / "go-modules"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return modules_environment(folder)


def _node(folder: Path) -> Toolchain:
    need_node()
    _copy("protos", folder)
    for kind in ("connectors", "clients"):
        built = _copy(f"examples/{kind}/node", folder)
        # What is installed is what the lock file says, and is not installed again.
        digest = hashlib.sha256((built / "package-lock.json").read_bytes()).hexdigest()
        installed = built / "node_modules" / f".{digest}"
        if not installed.exists():
            _run("npm", "ci", "--no-audit", "--no-fund", cwd=built)
            installed.touch()
    client = ("node", str(folder / "examples/clients/node/client.mjs"))
    return Toolchain(language="node", plugins=_plugins(folder, "node"), client=client)


def _go(folder: Path) -> Toolchain:
    environment = need_go()
    _copy("protos", folder)
    for kind in ("connectors", "clients"):
        _make(f"examples/{kind}/go", folder, environment)
    client = (str(folder / "examples/clients/go/bin/client-go"),)
    return Toolchain(language="go", plugins=_plugins(folder, "go"), client=client)


def _make(name: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Build what the sources say, and not again: another process may run it."""
    sources = sorted([*(path for path in (ROOT / name).rglob("*") if path.is_file()), *ROOT.glob("protos/**/*.proto")])
    mark = folder / name / f".{hashlib.sha256(b''.join(path.read_bytes() for path in sources)).hexdigest()}"
    if not mark.exists():
        shutil.rmtree(folder / name, ignore_errors=True)
        _run("make", cwd=_copy(name, folder), env=environment)
        mark.touch()


_BUILDERS: dict[str, Callable[[Path], Toolchain]] = {"node": _node, "go": _go}
LANGUAGES = tuple(_BUILDERS)


def _need(*programs: str, hint: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} in PATH: {hint}")


def _plugins(folder: Path, language: str) -> Path:
    plugins = folder / "examples/connectors"
    shutil.copytree(PROGRAMS, plugins / language / "programs", dirs_exist_ok=True)
    return plugins


def _copy(name: str, folder: Path) -> Path:
    ignored = shutil.ignore_patterns("node_modules", "bin", "gen", "go.sum", "*.py", "*.pyi", "__pycache__")
    return Path(shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True, ignore=ignored))


def _run(*command: str, cwd: Path, env: Mapping[str, str] = os.environ) -> None:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
