"""What people install: built as a release is, put into an environment of its own, and used away from here."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "connector_sdk", "connectors", "protos/peftstudio")
WAIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel, and lend it the libraries of this environment, but nothing of this repository."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip("--python", str(python), "install", str(wheel))
    asked = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], stdout=subprocess.PIPE, check=True
    )
    # A plain path: the editable installation beside those libraries does not come with it.
    (Path(asked.stdout.decode().strip()) / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return python.parent


def test_the_wheel_has_every_file_of_its_packages(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *PACKAGES], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True
    ).stdout.split("\0")
    expected = {name.removeprefix("protos/") for name in listed if (ROOT / name).is_file() and name}
    with ZipFile(wheel) as archive:
        missing = expected - set(archive.namelist())
    assert len(expected) > 400
    assert not missing


def test_what_it_says_of_its_types_is_for_all_packages(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        assert {f"{Path(package).name}/py.typed" for package in PACKAGES} <= set(archive.namelist())


def test_an_installed_gateway_starts_with_its_connectors_and_ends(programs: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    environment = elsewhere(PEFTSTUDIO_DATA_DIR=str(data_dir))
    with (tmp_path / "log").open("wb") as log:
        gateway = subprocess.Popen(
            [programs / "peftstudio", "serve", "--port", "0"], cwd=tmp_path, env=environment, stderr=log
        )
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while not (data_dir / "endpoint.json").exists():
            assert gateway.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.05)
        assert "local" in run(programs / "peftstudio", "connectors", "list", cwd=tmp_path, env=environment)
    finally:
        gateway.terminate()
        assert gateway.wait(WAIT_SECONDS) == 0


def test_an_installed_sdk_makes_a_connector_that_works(programs: Path, tmp_path: Path) -> None:
    run(programs / "peftstudio-connector", "new", "x", cwd=tmp_path)
    project = tmp_path / "x"
    assert (project / ".github").is_dir()
    run(programs / "peftstudio-connector", "check", "connector.toml", cwd=project)
    # Its test of conformance needs twenty seconds, and does what `check` does with an account.
    run(programs / "python", "-m", "pytest", "-k", "not conforms", cwd=project)


def pip(*arguments: str) -> None:
    """Run pip without a network."""
    command = [sys.executable, "-m", "pip", *arguments, "--no-deps", "--no-index", "--quiet"]
    run(*command, "--disable-pip-version-check", cwd=Path.cwd())


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a program to its end, which must be a good one."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env or elsewhere(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WAIT_SECONDS,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def elsewhere(**variables: str) -> dict[str, str]:
    """Give an environment in which nothing leads back to this repository."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")} | variables
