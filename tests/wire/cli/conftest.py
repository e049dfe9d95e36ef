"""The command line against a fake gateway."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import assemble
from peftstudio.gateway.v1.connections_service_pb2 import CONNECTION_STATE_ACTIVE, Connection
from peftstudio.gateway.v1.connectors_service_pb2 import CONNECTOR_STATE_READY, Connector
from tests.support.fake_gateway import FakeGateway, running_fake_gateway


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> object:
        """What it printed, as JSON."""
        return json.loads(self.out)


Cli = Callable[..., Outcome]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeGateway]:
    """A gateway with a connector and a connection called `local`."""
    with running_fake_gateway(tmp_path / "data") as gateway:
        state = gateway.state
        state.connections["local"] = Connection(
            id="c-local", connector_id="local", name="local", state=CONNECTION_STATE_ACTIVE
        )
        state.connectors["local"] = Connector(
            id="local", state=CONNECTOR_STATE_READY, version="1.0", features=["training"]
        )
        yield gateway


@pytest.fixture
def cli(fake: FakeGateway) -> Cli:
    """Run a command line against the gateway."""
    app, runner = assemble(), CliRunner()

    def run(*arguments: str, stdin: str | None = None) -> Outcome:
        result = runner.invoke(app, ["--data-dir", str(fake.data_dir), *arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception

        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run
