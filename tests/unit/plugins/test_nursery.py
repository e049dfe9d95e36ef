from __future__ import annotations

import sys

import pytest

from gateway.plugins.nursery import is_alike

pytestmark = [pytest.mark.unit, pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked elsewhere")]

SERVE = (sys.executable, "-m", "connector_sdk", "serve")


def test_a_connector_on_the_sdk_of_this_interpreter_is_alike() -> None:
    assert is_alike((*SERVE, "/some/acme_connector.py"), {"PATH": ""}, ())
    assert is_alike((*SERVE, "acme.connector:AcmeConnector"), {"ACME_REGION": "eu"}, ("ACME_REGION",))


@pytest.mark.parametrize(
    "command",
    [
        (),
        (sys.executable, "/some/connector.py"),
        (sys.executable, "-X", "dev", "-m", "connector_sdk", "serve", "x.py"),
        (*SERVE, "x.py", "--listen", "127.0.0.1:1"),
        (*SERVE, "--help"),
        (sys.executable, "-m", "connector_sdk", "template", "x.py"),
        ("/elsewhere/python", "-m", "connector_sdk", "serve", "x.py"),
        ("node", "connector.js"),
    ],
)
def test_every_other_command_is_not(command: tuple[str, ...]) -> None:
    assert not is_alike(command, {}, ())


@pytest.mark.parametrize("name", ["PYTHONHASHSEED", "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "GRPC_VERBOSITY"])
def test_a_variable_that_is_read_at_a_start_counts_where_it_is_declared_and_set(name: str) -> None:
    command = (*SERVE, "x.py")
    assert not is_alike(command, {name: "1"}, (name,))
    assert is_alike(command, {}, (name,))
    assert is_alike(command, {name: "1"}, ())
