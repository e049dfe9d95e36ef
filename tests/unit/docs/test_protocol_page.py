"""docs/protocol.md, the only source that an author of another language has, against the code."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from connector_sdk._describe import HOOKS_OF_CAPABILITY
from gateway.plugins.channel import CHANNEL_OPTIONS
from gateway.plugins.handshake import Bootstrap, Handshake, Tokens
from gateway.plugins.limits import Limits
from gateway.plugins.manifest import Manifest, read_manifest
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1.error_reason_pb2 import ErrorReason

pytestmark = pytest.mark.unit

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
MOST_LINES = 300
"""Longer than that, and nobody reads it before writing a connector."""
METHODS = [method.name for method in pb.DESCRIPTOR.services_by_name["ConnectorService"].methods]


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def block(title: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", section(title), re.DOTALL)
    assert found, title
    return found[1]


def first_cells(title: str) -> set[str]:
    """Name what the first column of a section's tables has."""
    return {
        name
        for row in re.findall(r"^\| (`.*?) \|", section(title), re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }


def test_it_is_short_enough_to_be_read() -> None:
    assert len(PAGE.splitlines()) <= MOST_LINES


def test_the_manifest_of_the_page_is_one(tmp_path: Path) -> None:
    path = tmp_path / "connector.toml"
    path.write_text(block("The manifest", "toml"))
    spec = read_manifest(path)
    assert spec.command == (f"{tmp_path.resolve()}/acme", "--quiet")
    assert set(tomllib.loads(path.read_text())) == set(Manifest.model_fields)


def test_the_bootstrap_of_the_page_is_what_the_gateway_writes() -> None:
    bootstrap = Bootstrap(
        instance_id="local", generation=1, socket=Path("/s"), work_dir=Path("/w"), log_level="INFO", tokens=Tokens()
    )
    title = "Bootstrap (gateway → connector, stdin, one line)"
    shown = json.loads(block(title, "json"))
    assert shown.keys() | first_cells(title) == json.loads(bootstrap.line()).keys()


def test_the_handshake_of_the_page_is_what_the_gateway_reads() -> None:
    title = "Handshake (connector → gateway, descriptor 3, one line)"
    shown = json.loads(block(title, "json"))
    assert set(Handshake.model_fields) - {"error"} <= shown.keys()
    assert Handshake.model_validate(shown).protocol == 1
    assert first_cells(title) <= shown.keys()


def test_every_method_and_every_capability_is_named() -> None:
    text = section("Calls")
    capabilities = set(HOOKS_OF_CAPABILITY)
    assert [name for name in sorted(capabilities) if f"`{name}`" not in text] == []
    snake = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): name for name in METHODS}
    unnamed = {method for name, method in snake.items() if name not in capabilities and f"`{method}`" not in text}
    assert unnamed == set()
    assert capabilities - {"dry_run"} <= snake.keys()


def test_every_reason_and_every_constant_that_it_names_is_of_the_contract() -> None:
    enums = [ErrorReason.DESCRIPTOR, pb.LogSource.DESCRIPTOR, pb.SubmitSafety.DESCRIPTOR]
    known = {name for enum in enums for name in enum.values_by_name}
    named = set(re.findall(r"\b(?:[A-Z]+_[A-Z_]+)\b", section("Errors") + section("Calls") + section("Logs")))
    codes = {"FAILED_PRECONDITION"}
    prefixes = ("ERROR_REASON_", "LOG_SOURCE_", "SUBMIT_SAFETY_")
    assert {name for name in named if not any(prefix + name in known for prefix in prefixes)} <= codes


def test_its_numbers_are_those_of_the_code() -> None:
    limits, words = Limits(), " ".join(PAGE.split())
    options = {name: value for name, value in CHANNEL_OPTIONS.items() if isinstance(value, int)}
    assert (limits.handshake, limits.start) == (timedelta(seconds=10), timedelta(seconds=30))
    assert "It has 10 s for the handshake, and 30 s until it is ready" in words
    assert f"The gateway pings every {options['grpc.keepalive_time_ms'] // 1000} s" in words
    assert f"A message has at most {options['grpc.max_receive_message_length'] // 2**20} MiB" in words
    assert f"The `:authority` is `{CHANNEL_OPTIONS['grpc.default_authority']}`" in words


def test_every_page_and_file_that_it_points_to_is_there() -> None:
    docs = Path(__file__).parents[3] / "docs"
    links = [link for link in re.findall(r"\]\(([^)#]+)", PAGE) if "://" not in link]
    assert len(links) >= 4
    assert [link for link in links if not (docs / link).exists()] == []
