"""Connectors, connections, files, machines and prices on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf.json_format import ParseDict

from peftstudio.gateway.v1.catalog_service_pb2 import Offer, OfferError
from peftstudio.job.v1.artifact_pb2 import ARTIFACT_KIND_LOG
from peftstudio.job.v1.model_pb2 import Model
from peftstudio.job.v1.resource_pb2 import Price, Resource
from tests.support.fake_gateway import FakeGateway, StoredFile
from tests.wire.cli.conftest import Cli

pytestmark = [pytest.mark.wire, pytest.mark.timeout(60)]

SCHEMA = {"type": "object", "properties": {"api_key": {"title": "API key"}}, "required": ["api_key"]}


def test_credentials_come_from_a_file_or_stdin_and_never_show(fake: FakeGateway, cli: Cli, tmp_path: Path) -> None:
    ParseDict(SCHEMA, fake.state.connectors["local"].credentials_schema)
    (tmp_path / "c.json").write_text('{"api_key": "s3cret"}')

    by_file = cli("connections", "connect", "local", "--name", "a", "--credentials-file", str(tmp_path / "c.json"))
    by_pipe = cli("connections", "connect", "local", "--name", "b", "--credentials-file", "-", stdin='{"api_key": "t"}')

    assert by_file.code == by_pipe.code == 0
    assert fake.state.credentials == {"a": {"api_key": "s3cret"}, "b": {"api_key": "t"}}
    assert "s3cret" not in by_file.out + by_file.err


def test_without_a_terminal_credentials_are_not_asked_for(fake: FakeGateway, cli: Cli) -> None:
    ParseDict(SCHEMA, fake.state.connectors["local"].credentials_schema)

    refused = cli("connections", "connect", "local")

    assert refused.code == 2
    assert "--credentials-file" in refused.err


def test_a_connector_without_credentials_is_connected_at_once(fake: FakeGateway, cli: Cli) -> None:
    assert cli("connections", "connect", "local", "--name", "mine").code == 0
    assert fake.state.credentials == {"mine": {}}


def test_credentials_that_are_no_json_object_are_not_repeated_in_the_error(cli: Cli) -> None:
    broken = cli("connections", "connect", "local", "--credentials-file", "-", stdin="s3cret")
    nested = cli("connections", "connect", "local", "--credentials-file", "-", stdin='{"a": ["s3cret"]}')

    assert broken.code == nested.code == 2
    assert "s3cret" not in broken.err + nested.err


def test_credentials_that_the_platform_refuses_are_exit_code_5(cli: Cli) -> None:
    refused = cli("connections", "connect", "local", "--credentials-file", "-", stdin='{"api_key": "wrong"}')

    assert refused.code == 5
    assert refused.err == "peftstudio: the platform does not accept the key\n"


def test_connections_are_listed_shown_verified_rotated_and_closed(fake: FakeGateway, cli: Cli) -> None:
    assert cli("connections", "list").out.split()[5:8] == ["local", "local", "active"]
    assert cli("connections", "verify", "local").code == 0
    assert cli("connections", "rotate", "local", "--credentials-file", "-", stdin='{"k": "v"}').code == 0
    assert fake.state.credentials["local"] == {"k": "v"}
    fake.state.add_job("j")
    assert cli("connections", "disconnect", "local").code == 4
    assert cli("connections", "disconnect", "local", "--force").code == 0
    assert cli("connections", "get", "local").code == 3


def test_connectors_are_listed_shown_switched_and_diagnosed(cli: Cli) -> None:
    assert cli("connectors", "list").out.splitlines()[1].split()[:2] == ["local", "ready"]
    assert cli("connectors").out == cli("connectors", "list").out
    assert "disabled" in cli("connectors", "disable", "local").out
    assert "discovered" in cli("connectors", "enable", "local").out
    assert cli("connectors", "restart", "local", "--json").json
    assert "SIGSEGV" in cli("connectors", "diagnose", "local").out
    whole = cli("connectors", "inspect", "local").out
    assert "training" in whole
    assert "SIGSEGV" in whole
    assert cli("connectors", "inspect", "nothing").code == 3


def test_an_adapter_is_fetched_into_a_folder(fake: FakeGateway, cli: Cli, tmp_path: Path) -> None:
    fake.state.add_job("job1")
    fake.state.files["job1"] = [StoredFile("a.safetensors", b"x" * 5000), StoredFile("l", b"y", ARTIFACT_KIND_LOG)]

    done = cli("artifacts", "get", "job", "--out", str(tmp_path / "o"))
    everything = cli("artifacts", "get", "job1", "-o", str(tmp_path / "o"), "--all", "--json")

    assert done.out == f"{tmp_path / 'o' / 'a.safetensors'}\n"
    assert "1 file, 4.9 KiB, all verified" in done.err
    assert everything.json == [str(tmp_path / "o" / name) for name in ("a.safetensors", "l")]


def test_files_that_stay_wrong_are_exit_code_1(fake: FakeGateway, cli: Cli, tmp_path: Path) -> None:
    fake.state.add_job("j")
    fake.state.files["j"] = [StoredFile("a.bin", b"x" * 5000)]
    fake.state.faults.corrupt_fetches = 2

    failed = cli("artifacts", "get", "j", "-o", str(tmp_path / "o"))

    assert failed.code == 1
    assert "twice; nothing was kept" in failed.err


def test_a_file_is_put_into_a_registry(fake: FakeGateway, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"1")

    done = cli("artifacts", "put", str(tmp_path / "a.bin"), "-c", "local", "--metadata", '{"repo": "me/it"}')

    assert done.out == "registry/a.bin\n"
    assert fake.state.registry[0].metadata["repo"] == "me/it"


def test_datasets_are_uploaded_listed_and_deleted(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text("x\n")

    uri = cli("datasets", "upload", str(tmp_path / "d.jsonl")).out.strip()

    listed = cli("datasets", "list", "--json").json
    assert isinstance(listed, list)
    assert [dataset["uri"] for dataset in listed] == [uri]
    assert cli("datasets", "delete", uri).code == 0
    assert cli("datasets", "delete", uri).code == 3
    assert cli("datasets", "upload", str(tmp_path / "none")).code == 1


def test_prices_are_compared_and_who_could_not_be_asked_is_named(fake: FakeGateway, cli: Cli) -> None:
    machine = Resource(id="m1", gpu_type="A100", gpu_count=2, vram_gb=80, available=True)
    price = Price(amount_micros=1_440_000, currency="USD")
    fake.state.offers = [Offer(connection_id="x", resource=machine, price=price, estimate_micros=2_880_000)]
    fake.state.offer_errors = [OfferError(connection_id="y", message="does not answer")]

    found = cli("prices", "--hours", "2", "--min-vram", "40")

    assert "2 x A100, 80 GB each  1.44 USD / hour" in found.out
    assert "2.88 USD" in found.out
    assert "y could not be asked: does not answer" in found.err
    assert cli("prices", "--min-vram", "100").out == ""


def test_machines_and_models_are_listed(fake: FakeGateway, cli: Cli) -> None:
    fake.state.resources = [Resource(id="cpu", cpu_cores=4, ram_gb=16, available=True)]
    fake.state.models = [Model(id="org/tiny", author="org", downloads=5)]

    assert cli("resources", "local").out.splitlines()[1].split() == ["cpu", "none", "4", "16", "GB", "yes"]
    assert cli("models", "search", "local", "tiny").out.splitlines()[1].split() == ["org/tiny", "org", "5"]
    assert json.loads(cli("models", "get", "local", "org/tiny", "--json").out)["author"] == "org"
