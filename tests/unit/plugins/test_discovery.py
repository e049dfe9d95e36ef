from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest

from gateway.plugins.discovery import Finder, _in_packages
from gateway.plugins.settings import BrokenSettings
from gateway.plugins.spec import ConnectorSpec, Discovery

pytestmark = pytest.mark.unit

CONNECTOR = """
import a_module_that_is_nowhere
raise SystemExit("discovery must not run this")

class Helper:
    name = "helper"

class AcmeConnector(PlatformConnector):
    name = "acme"
    display_name: str = "Acme Cloud"
    version = "2.0"
"""


def find(*roots: Path, settings: Path = Path("/nowhere/connectors.json")) -> Discovery:
    return Finder(roots, settings, has_entry_points=False).find()


def by_id(discovery: Discovery) -> dict[str, ConnectorSpec]:
    return {spec.id: spec for spec in discovery.specs}


def manifest(root: Path, folder: str, text: str) -> None:
    (root / folder).mkdir(parents=True)
    (root / folder / "connector.toml").write_text(text)


def test_a_folder_with_a_manifest_is_a_connector(tmp_path: Path) -> None:
    manifest(tmp_path, "one", 'id = "one"\ncommand = ["{python}"]')
    assert by_id(find(tmp_path))["one"].command == (sys.executable,)


def test_files_beside_a_manifest_are_of_its_connector(tmp_path: Path) -> None:
    manifest(tmp_path, "project", 'id = "acme"\ncommand = ["{python}", "{dir}/my_platform_connector.py"]')
    (tmp_path / "project" / "my_platform_connector.py").write_text(CONNECTOR)
    found = find(tmp_path / "project")
    assert [spec.origin for spec in found.specs] == [str(tmp_path / "project")]
    assert found.warnings == ()


def test_a_python_file_is_a_connector_and_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "my_platform_connector.py"
    path.write_text(CONNECTOR)
    spec = by_id(find(tmp_path))["acme"]
    assert (spec.display_name, spec.version, spec.problem) == ("Acme Cloud", "2.0", "")
    assert spec.command == (sys.executable, "-m", "connector_sdk", "serve", str(path))


def test_a_python_file_without_a_name_is_called_like_the_file(tmp_path: Path) -> None:
    (tmp_path / "my_platform_connector.py").write_text("class Anything: pass")
    assert "my_platform" in by_id(find(tmp_path))


def test_a_broken_connector_is_listed_with_its_problem_and_harms_no_other(tmp_path: Path) -> None:
    manifest(tmp_path, "bad", "id = 3")
    (tmp_path / "worse_connector.py").write_text("def (")
    manifest(tmp_path, "good", 'id = "good"\ncommand = ["x"]')
    found = by_id(find(tmp_path))
    assert "bad/connector.toml: id: " in found["bad"].problem
    assert "worse_connector.py" in found["worse"].problem
    assert found["good"].problem == ""


def test_of_two_connectors_with_one_id_the_first_root_wins_and_the_other_is_reported(tmp_path: Path) -> None:
    for root in ("first", "second"):
        manifest(tmp_path / root, "same", 'id = "same"\ncommand = ["x"]')
    discovery = find(tmp_path / "first", tmp_path / "second")
    assert [spec.origin for spec in discovery.specs] == [str(tmp_path / "first" / "same")]
    assert len(discovery.warnings) == 1
    assert str(tmp_path / "second" / "same") in discovery.warnings[0]


def test_a_root_that_is_not_there_has_no_connectors() -> None:
    assert find(Path("/nowhere/at/all")) == Discovery()


def test_an_entry_point_is_a_connector_without_being_loaded() -> None:
    point = importlib.metadata.EntryPoint("acme", "acme_nowhere.connector:Acme", "peftstudio.connectors")
    (spec,) = _in_packages([point])
    assert spec.command[1:] == ("-m", "connector_sdk", "serve", "acme_nowhere.connector:Acme")


def test_built_in_connectors_are_found_without_importing_them(tmp_path: Path) -> None:
    loaded = {name for name in sys.modules if name.startswith("connectors")}
    Finder.standard(tmp_path, [], tmp_path / "connectors.json").find()
    assert {name for name in sys.modules if name.startswith("connectors")} == loaded


def settings(folder: Path, text: str) -> Path:
    path = folder / "connectors.json"
    path.write_text(text)
    return path


def test_the_owners_settings_apply_to_their_connector(tmp_path: Path) -> None:
    manifest(tmp_path / "root", "acme", 'id = "acme"\ncommand = ["x"]')
    entry = {
        "enabled": False,
        "credentials_required": ["api_key"],
        "features": ["training"],
        "documentation_url": "https://docs.example",
        "rate_limits": {"requests_per_minute": 60, "concurrent_jobs": 5},
    }
    path = settings(tmp_path, "// config/connectors.json\n" + json.dumps({"acme": entry}))
    found = by_id(find(tmp_path / "root", settings=path))["acme"].settings
    assert (found.enabled, found.credentials_required, found.features) == (False, ("api_key",), ("training",))
    assert (found.requests_per_minute, found.concurrent_jobs) == (60, 5)


def test_settings_that_are_not_known_are_reported_and_ignored(tmp_path: Path) -> None:
    path = settings(tmp_path, '{"acme": {"colour": 1, "rate_limits": {"per_day": 2}}}')
    text = " ".join(find(settings=path).warnings)
    assert "acme.colour" in text
    assert "acme.rate_limits.per_day" in text
    assert "'acme' that was not found" in text


def test_settings_that_are_no_json_are_one_error_with_file_and_line(tmp_path: Path) -> None:
    path = settings(tmp_path, '// a comment\n{\n  "acme": {,}\n}')
    with pytest.raises(BrokenSettings, match=r"connectors\.json, line 3, column 12"):
        find(settings=path)


def test_a_setting_of_the_wrong_type_is_one_error_with_file_line_and_key(tmp_path: Path) -> None:
    path = settings(tmp_path, '{\n "other": {"enabled": true},\n "acme": {\n  "enabled": "yes"\n }\n}')
    with pytest.raises(BrokenSettings, match=r"connectors\.json, line 4: acme\.enabled: "):
        find(settings=path)
