"""Finding the connector class that a file or module has."""

import sys
from pathlib import Path

import pytest

from connector_sdk._identity import name_of
from connector_sdk._load import load
from connector_sdk._start import StartError
from connector_sdk.connector import PlatformConnector
from tests.support.sdk.required_connector import PlainConnector

pytestmark = pytest.mark.unit

IMPORT = "from tests.support.sdk.required_connector import PlainConnector\n"


@pytest.fixture(autouse=True)
def _restored_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def _file(folder: Path, content: str) -> str:
    path = folder / "found_connector.py"
    path.write_text(content)
    return str(path)


def test_a_class_is_found_by_module_and_name() -> None:
    assert load("tests.support.sdk.required_connector:PlainConnector") is PlainConnector
    assert load("tests.support.sdk.required_connector") is PlainConnector


def test_the_class_that_a_file_defines_is_found_and_what_it_imports_is_not(tmp_path: Path) -> None:
    found = load(_file(tmp_path, IMPORT + "class Found(PlainConnector):\n    pass\n"))
    assert found.__name__ == "Found"


def test_of_a_class_and_its_base_in_one_file_the_class_is_served(tmp_path: Path) -> None:
    content = IMPORT + "class Shared(PlainConnector):\n    pass\nclass Found(Shared):\n    pass\n"
    assert load(_file(tmp_path, content)).__name__ == "Found"


def test_two_connectors_in_one_file_need_a_name(tmp_path: Path) -> None:
    file = _file(tmp_path, IMPORT + "class A(PlainConnector):\n    pass\nclass B(PlainConnector):\n    pass\n")
    with pytest.raises(StartError, match="has A, B"):
        load(file)
    assert load(f"{file}:B").__name__ == "B"


def test_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_found.py").write_text("NAME = 'near'\n")
    content = IMPORT + "from neighbour_of_found import NAME\nclass Found(PlainConnector):\n    name = NAME\n"
    assert load(_file(tmp_path, content)).name == "near"


def test_missing_methods_are_named_with_the_file_and_how_to_write_them(tmp_path: Path) -> None:
    content = IMPORT.replace("tests.support.sdk.required_connector", "connectors.base").replace("Plain", "Platform")
    file = _file(tmp_path, content + "class Found(PlatformConnector):\n    async def connect(self, c): ...\n")
    with pytest.raises(StartError) as caught:
        load(file)
    assert file in str(caught.value)
    assert "lacks disconnect, submit_job" in str(caught.value)
    assert "get_pricing(self, resource_id)." in str(caught.value)


@pytest.mark.parametrize("target", ["nowhere/x_connector.py", "no_such_module:A", "connectors.base:Missing"])
def test_what_cannot_be_found_is_said_in_words(target: str) -> None:
    with pytest.raises(StartError, match=target.partition(":")[0]):
        load(target)


def test_a_connector_without_a_name_is_called_after_its_class() -> None:
    class LambdaLabsConnector(PlatformConnector):
        pass

    assert name_of(LambdaLabsConnector) == "lambdalabs"
    assert name_of(type("X", (PlatformConnector,), {"name": "My Platform!"})) == "my-platform"
