"""The name of the contract, and of the process, that a handshake tells."""

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from connector_sdk import _handshake
from connector_sdk._contract import SERVICE, contract_digest
from connector_sdk._gateway_token import GatewayToken
from peftstudio.connector.v1 import connector_service_pb2

pytestmark = pytest.mark.unit

PROTOS = Path(connector_service_pb2.__file__).parents[3]
FOLDERS = ("connector/v1", "job/v1")
NOT_IMPORTED = "error_reason_pb2.py"  # reasons travel as text


def _embedded(path: Path) -> bytes:
    """Read the descriptor out of the source of a generated module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "AddSerializedFile"
        ):
            return bytes(ast.literal_eval(node.args[0]))
    raise AssertionError(path)


def test_the_digest_is_that_of_the_descriptors_in_the_generated_files() -> None:
    found = sorted(path for folder in FOLDERS for path in (PROTOS / "peftstudio" / folder).glob("*_pb2.py"))
    paths = [path for path in found if path.name != NOT_IMPORTED]
    assert len(paths) > 5
    assert contract_digest() == hashlib.sha256(b"".join(_embedded(path) for path in paths)).hexdigest()


def test_the_digest_is_the_same_in_every_process_and_every_implementation_of_protobuf() -> None:
    program = "from connector_sdk._contract import contract_digest; print(contract_digest())"
    for implementation in ("upb", "python"):
        environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation, "PYTHONHASHSEED": "7"}
        command = [sys.executable, "-c", program]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        assert ended.stdout.strip() == contract_digest()


def test_the_services_name_is_what_the_protocol_says() -> None:
    assert SERVICE == "peftstudio.connector.v1.ConnectorService"


def test_the_start_time_is_read_behind_a_name_with_blanks_and_parentheses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = [str(number) for number in range(3, 53)]
    path = tmp_path / "stat"
    path.write_text(f"1 (a (b) c) {' '.join(fields)}\n")
    monkeypatch.setattr(_handshake, "PROC_STAT", path)
    assert _handshake.start_time() == 22


def test_without_proc_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_handshake, "PROC_STAT", tmp_path / "missing")
    monkeypatch.setattr(_handshake, "PROC_BOOT_ID", tmp_path / "missing")
    assert _handshake.start_time() is None
    assert _handshake.boot_id() == ""


@pytest.mark.parametrize(
    ("metadata", "is_known"),
    [
        ((("authorization", "Bearer secret"),), True),
        ((("authorization", b"Bearer secret"),), True),
        ((("x", "y"), ("authorization", "Bearer secret")), True),
        ((("authorization", "Bearer secre"),), False),
        ((("authorization", "secret"),), False),
        ((), False),
        (None, False),
    ],
)
def test_the_gateway_is_known_by_its_token(
    metadata: tuple[tuple[str, str | bytes], ...] | None, is_known: bool
) -> None:
    assert GatewayToken("secret").is_in(metadata) is is_known
