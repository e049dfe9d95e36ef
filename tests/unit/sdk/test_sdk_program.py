"""The program of connector authors: what it loads, and what it has for each language."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from importlib.resources import files
from pathlib import Path

import pytest

from connector_sdk._start import StartError
from connector_sdk.cli.creating import LANGUAGES, create
from connector_sdk.conformance.checks import calls
from connector_sdk.conformance.checksum import crc32c
from connector_sdk.conformance.methods import OPTIONAL, REQUIRED, snake
from connector_sdk.conformance.registry import MODULES, checks_of
from connector_sdk.conformance.target import SERVE, resolve
from connector_sdk.conformance.wire import METHODS

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
LISTED = """
import sys
sys.argv = ["peftstudio-connector", "check", "--list"]
from connector_sdk.cli.main import main
try:
    main()
finally:
    print(*sorted({name.partition('.')[0] for name in sys.modules}))
"""


def test_the_program_loads_nothing_but_the_core_dependencies() -> None:
    shown = subprocess.run([sys.executable, "-c", LISTED], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(shown.stdout.splitlines()[-1].split())
    owners = packages_distributions()
    found = {owner.lower() for module in loaded for owner in owners.get(module, ())}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = [*extras["gateway"], *extras["local"], *extras["dev"]]
    forbidden = {re.split(r"[<>=]", line)[0].lower() for line in wanted} - {"google-crc32c", "grpcio-reflection"}
    assert "grpcio" in found
    assert found & forbidden == set()
    assert "gateway" not in loaded


def test_every_module_of_checks_is_in_the_registry() -> None:
    folder = Path(calls.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == {
        module.__name__.rpartition(".")[2] for module in MODULES
    }
    assert all(checks_of(module) for module in MODULES)


def test_every_method_of_the_contract_is_called() -> None:
    others = {"describe", "connect", "disconnect", "submit_job", "upload_artifact", "shutdown", "deploy_model"}
    assert set(map(snake, METHODS)) == set(OPTIONAL) | set(REQUIRED) | others


def test_a_language_without_a_template_says_so(tmp_path: Path) -> None:
    missing = [one for one in LANGUAGES if not (files("connector_sdk") / "templates" / one).is_dir()]
    for language in missing:
        given = argparse.Namespace(name="mine", language=language, folder=tmp_path / language)
        with pytest.raises(StartError, match=f"no template for {language}"):
            create(given)
    assert "python" not in missing


def test_crc32c_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("connectors.local.connector:LocalConnector", (*SERVE, "connectors.local.connector:LocalConnector")),
        ("connectors.local.connector", (*SERVE, "connectors.local.connector")),
        ("mine_connector.py", (*SERVE, "{folder}/mine_connector.py")),
        ("mine_connector.py:Mine", (*SERVE, "{folder}/mine_connector.py:Mine")),
        ("./program.py", ("{folder}/program.py",)),
        ("./program.py mine_connector.py -v", ("{folder}/program.py", "{folder}/mine_connector.py", "-v")),
        ("node mine_connector.py", ("node", "{folder}/mine_connector.py")),
    ],
)
def test_a_target_is_what_an_author_would_mean_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_connector.py").write_text("class Mine: ...\n")
    (tmp_path / "program.py").write_text("#!/usr/bin/env python3\n")
    (tmp_path / "program.py").chmod(0o755)
    found, declared = resolve(target.split())
    assert (found, declared) == (tuple(part.replace("{folder}", str(tmp_path)) for part in command), ())


def test_a_manifest_says_command_and_variables(tmp_path: Path) -> None:
    manifest = tmp_path / "connector.toml"
    manifest.write_text('id = "x"\ncommand = ["{python}", "{dir}/x.py"]\n[env]\nallow = ["X_HOME"]\n')
    assert resolve([str(manifest)]) == ((sys.executable, f"{tmp_path}/x.py"), ("X_HOME",))
