"""The examples in other languages, built the way their authors would, in the cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "polyglot"
PROGRAMS = ROOT / "tests" / "polyglot" / "programs"
GO_PACKAGES = Path("/usr/share/gocode/src/google.golang.org/grpc")
"""Where Debian keeps gRPC for Go."""
BUILD_SECONDS = 300
"""npm over a slow line, or Go's first compilation of gRPC on a slow machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """What one language's examples are run with."""

    language: str
    plugins: Path
    """Folder to be given to `peftstudio serve --plugins`: has the connector, and the programs of its jobs."""
    client: tuple[str, ...]
    """How the client is called."""

    @property
    def connector_id(self) -> str:
        return f"workbench-{self.language}"

    @property
    def connector(self) -> tuple[str, ...]:
        """How the connector is called, as its manifest says."""
        folder = self.plugins / self.language
        program = ("node", f"{folder}/connector.mjs") if self.language == "node" else (f"{folder}/workbench-go",)
        return (*program, str(self.plugins / "programs"))


def toolchain(language: str) -> Toolchain:
    """Build the examples of a language where that has not been done, or skip the test and say what is missing."""
    folder = CACHE / language
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _BUILDERS[language](folder)


def _node(folder: Path) -> Toolchain:
    _need("node", "npm", hint="install Node 18.20 or newer with npm")
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
    return Toolchain(language="node", plugins=_plugins(folder), client=client)


def _go(folder: Path) -> Toolchain:
    _need("go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc", hint="install Debian's packages that .ci/run names")
    if not GO_PACKAGES.is_dir():
        pytest.skip("gRPC for Go is missing: apt-get install golang-google-grpc-dev golang-goprotobuf-dev")
    connector = folder / "examples/connectors/go"
    client = folder / "examples/clients/go"
    for built in (connector, client):
        _run("sh", str(ROOT / built.relative_to(folder) / "build.sh"), str(built), cwd=ROOT)
    return Toolchain(language="go", plugins=_plugins(folder), client=(str(client / "client-go"),))


_BUILDERS: dict[str, Callable[[Path], Toolchain]] = {"node": _node, "go": _go}
LANGUAGES = tuple(_BUILDERS)


def _need(*programs: str, hint: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} in PATH: {hint}")


def _plugins(folder: Path) -> Path:
    _copy("examples/connectors/programs", folder)
    plugins = folder / "examples/connectors"
    shutil.copytree(PROGRAMS, plugins / "programs", dirs_exist_ok=True)
    return plugins


def _copy(name: str, folder: Path) -> Path:
    ignored = shutil.ignore_patterns("node_modules", "*.py", "*.pyi", "__pycache__")
    return Path(shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True, ignore=ignored))


def _run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
