"""Flyte's connector service, which keeps nothing: what a submission costs that nobody can rely on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from grpc import aio

from tests.bench.load import Call, raw_call
from tests.bench.peers import flyte_server_path, peers_program
from tests.bench.peers.program import free_port, program
from tests.bench.training import CONFIG, LABELS

SERVICE = "/flyteidl.service.AsyncAgentService/"


@dataclass(frozen=True, slots=True)
class Flyte:
    """What can be asked of it."""

    create: Call
    get: Call


@asynccontextmanager
async def flyte() -> AsyncIterator[Flyte]:
    """Run the service with a connector that does nothing."""
    with TemporaryDirectory(prefix="peft-bench-") as name:
        folder, port = Path(name), free_port()
        (folder / "training.json").write_text(json.dumps({**CONFIG, "labels": LABELS}))
        command = [str(peers_program("python")), str(flyte_server_path()), str(port), name]
        async with program(command, port, folder), aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Flyte(_call(channel, folder, "CreateTask"), _call(channel, folder, "GetTask"))


def _call(channel: aio.Channel, folder: Path, method: str) -> Call:
    request = (folder / method).read_bytes()
    call = raw_call(channel, SERVICE + method)
    return lambda: call(request, timeout=30)
