"""gRPC as connectors import it, each time in a new interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from connector_sdk._grpc_import import QUICKER

pytestmark = pytest.mark.process

WAIT_SECONDS = 30.0
LOOK = """
import json, os, sys
from concurrent.futures import ThreadPoolExecutor
from connector_sdk._grpc_import import import_grpc

told = {}
class Noting:
    def find_spec(self, name, path, target=None):
        if name == "grpc":
            told.update(os.environ)
sys.meta_path.insert(0, Noting())
import_grpc()
import grpc
server = grpc.server(ThreadPoolExecutor(1))
server.add_insecure_port("127.0.0.1:0")
server.start()
descriptors = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
print(json.dumps({"told": told, "left": dict(os.environ), "polls": not any("eventpoll" in one for one in descriptors)}))
server.stop(0)
"""


def _look(environment: Mapping[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-c", LOOK]
    environment = {"PATH": os.environ["PATH"], **environment}
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=WAIT_SECONDS, check=True)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are listed on Linux alone")
def test_grpc_is_told_what_makes_calls_cheap_and_programs_that_are_started_from_there_are_not() -> None:
    found = _look({})
    assert QUICKER.items() <= found["told"].items()
    assert not QUICKER.keys() & found["left"].keys()
    assert found["polls"]


@pytest.mark.parametrize(
    ("name", "value"), [("GRPC_EXPERIMENTS", "event_engine_listener"), ("GRPC_POLL_STRATEGY", "epoll1")]
)
def test_what_somebody_has_told_grpc_stays(name: str, value: str) -> None:
    found = _look({name: value})
    assert (found["told"][name], found["left"][name]) == (value, value)
