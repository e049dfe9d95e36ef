"""Finding the gateway and its token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.client import Location, Locator, NoGatewayError, default_data_dir

pytestmark = pytest.mark.unit


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "endpoint.json").write_text(json.dumps({"address": "127.0.0.1:9", "pid": 1, "tls": False}))
    return tmp_path


def test_the_gateway_of_this_machine_is_found_by_its_files(data_dir: Path) -> None:
    found = Locator(environment={"PEFTSTUDIO_DATA_DIR": str(data_dir)}).locate()

    assert found == Location(address="127.0.0.1:9", token="secret")
    assert "secret" not in repr(found)


def test_an_argument_wins_over_the_environment(data_dir: Path) -> None:
    environment = {"PEFTSTUDIO_ADDRESS": "localhost:1", "PEFTSTUDIO_DATA_DIR": str(data_dir)}

    assert Locator(environment=environment).locate().address == "localhost:1"
    assert Locator(address="localhost:2", environment=environment).locate().address == "localhost:2"


def test_the_local_token_does_not_go_to_other_machines(data_dir: Path) -> None:
    assert Locator(address="localhost:1", data_dir=data_dir, environment={}).locate().token == "secret"
    assert Locator(address="far.example:1", data_dir=data_dir, environment={}).locate().token == ""
    chosen = {"PEFTSTUDIO_TOKEN_FILE": str(data_dir / "token")}
    assert Locator(address="far.example:1", environment=chosen).locate().token == "secret"


def test_no_gateway_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NoGatewayError, match=r"no gateway is running here .*start one with `peftstudio serve`, or set"):
        Locator(data_dir=tmp_path, environment={}).locate()


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "\x00"])
def test_a_broken_file_is_a_clear_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "endpoint.json").write_text(content)

    with pytest.raises(NoGatewayError, match="cannot be read"):
        Locator(data_dir=tmp_path, environment={}).locate()


def test_an_unreadable_token_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NoGatewayError, match="token cannot be read"):
        Locator(address="localhost:1", token_file=tmp_path / "none", environment={}).locate()


def test_a_certificate_authority_means_tls(tmp_path: Path) -> None:
    assert Locator(address="far.example:1", ca_file=tmp_path / "ca.pem", environment={}).locate().tls


def test_the_data_folder_follows_the_customs_of_the_system() -> None:
    assert default_data_dir({"HOME": "/h"}, "linux") == Path("/h/.local/share/peftstudio-connect")
    assert default_data_dir({"HOME": "/h", "XDG_DATA_HOME": "/x"}, "linux") == Path("/x/peftstudio-connect")
    assert default_data_dir({"HOME": "/h"}, "darwin") == Path("/h/Library/Application Support/peftstudio-connect")
