from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from connector_sdk.cli.creating import LANGUAGES
from connector_sdk.cli.main import main
from gateway.plugins.manifest import read_manifest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
OURS = ("gen", "bin", "node_modules", "go.sum")
"""What builds leave in an example."""


def said_by(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """Run the program, and give its exit code and what it printed."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed = capsys.readouterr()
    return ended.value.code, printed.out + printed.err


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def project(language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = tmp_path / "project"
    assert said_by(capsys, "new", "my-cloud", "--language", language, "--folder", str(folder))[0] == 0
    return folder


def texts(folder: Path) -> dict[str, str]:
    """Give the text of every file, by its path."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_project_has_all_that_its_author_needs(project: Path, language: str) -> None:
    written = texts(project)
    tests = {"python": "tests/test_connector.py", "node": "tests/connector.test.mjs", "go": "connector_test.go"}
    build = {"python": "pyproject.toml", "node": "package.json", "go": "Makefile"}
    assert {"README.md", "connector.toml", ".gitignore", ".github/workflows/check.yml"} <= written.keys()
    assert {tests[language], build[language]} <= written.keys()
    spec = read_manifest(project / "connector.toml")
    assert (spec.id, spec.problem) == ("my-cloud", "")


def test_nothing_in_a_project_stands_for_the_name_still(project: Path, language: str) -> None:
    for path, text in texts(project).items():
        for placeholder in ("@NAME@", "@MODULE@", "@CLASS@", f"workbench-{language}", ".template"):
            assert placeholder not in text, path
            assert placeholder not in path


def test_the_contract_is_in_every_project_that_generates_code_from_it(project: Path, language: str) -> None:
    written = {path: text for path, text in texts(project).items() if path.startswith("protos/")}
    contract = {
        f"protos/{path.relative_to(ROOT / 'protos')}": path.read_text()
        for part in ("connector", "job")
        for path in (ROOT / "protos" / "peftstudio" / part).rglob("*.proto")
    }
    assert written == ({} if language == "python" else contract)


def test_all_of_a_project_goes_into_git_and_an_account_does_not(project: Path) -> None:
    made = set(texts(project))
    (project / "credentials.json").write_text("{}")
    for command in ("init -q", "add -A"):
        subprocess.run(["git", "-C", str(project), *command.split()], check=True, timeout=30)
    listed = subprocess.check_output(["git", "-C", str(project), "ls-files"], text=True, timeout=30)
    assert set(listed.splitlines()) == made


def test_programs_of_a_project_can_be_run(project: Path, language: str) -> None:
    scripts = [path for path in project.rglob("*") if path.is_file() and path.read_text().startswith("#!")]
    assert bool(scripts) == (language != "python")
    assert all(os.access(path, os.X_OK) for path in scripts)


@pytest.mark.parametrize("language", ["node", "go"])
def test_a_project_is_the_tested_example_under_another_name(project: Path, language: str) -> None:
    example = ROOT / "examples" / "connectors" / language
    expected = {
        path: text.replace(f"workbench-{language}", "my-cloud")
        for path, text in texts(example).items()
        if not path.startswith(OURS)
    }
    written = texts(project)
    assert {path: written.get(path.replace(f"workbench-{language}", "my-cloud")) for path in expected} == expected


def test_the_examples_in_other_languages_run_the_same_programs() -> None:
    node, go = (texts(ROOT / "examples" / "connectors" / language / "programs") for language in ("node", "go"))
    assert node == go


def test_the_contract_is_brought_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = tmp_path / "peftstudio" / "connector" / "v1" / "connector_service.proto"
    old.parent.mkdir(parents=True)
    old.write_text("of last year")
    assert said_by(capsys, "protos", str(tmp_path))[0] == 0
    assert "service ConnectorService" in old.read_text()


@pytest.mark.parametrize(
    "name", ["", "My-Cloud", "my_cloud", "1cloud", "-cloud", "cloud-", "a--b", "../up", "x" * 41, "é"]
)
def test_a_name_that_cannot_be_one_is_refused_and_nothing_is_made(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = said_by(capsys, "new", f"--folder={tmp_path / 'project'}", "--", name)
    assert (code, said.count("\n")) == (2, 1)
    assert f"{name!r} cannot be a connector's name: use lower-case letters" in said
    assert list(tmp_path.iterdir()) == []


def test_a_language_without_a_template_is_refused_with_those_that_have_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = said_by(capsys, "new", "my-cloud", "--language", "cobol", "--folder", str(tmp_path / "project"))
    assert code == 2
    assert all(word in said for word in ("cobol", *LANGUAGES))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_folder_that_is_not_empty_is_left_as_it_is(
    language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("mine")
    code, said = said_by(capsys, "new", "my-cloud", "--language", language, "--folder", str(tmp_path))
    assert (code, said) == (2, f"{tmp_path} is not empty: name another --folder.\n")
    assert texts(tmp_path) == {"README.md": "mine"}


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for folder in ("file", "file/below"):
        code, said = said_by(capsys, "new", "my-cloud", "--folder", str(tmp_path / folder))
        assert (code, said) == (2, f"{tmp_path / folder} cannot be made: Not a directory.\n")
