"""Connectors that die again and again."""

from __future__ import annotations

import asyncio
import re
import signal
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.errors import ConnectorDown
from gateway.plugins.model import ConnectorState, Death
from tests.support.launched import Bench, plain
from tests.support.signals import send

pytestmark = pytest.mark.process

WAITED = re.compile(r"started again after (\d+\.\d+) s")


def waits(deaths: tuple[Death, ...]) -> list[float]:
    """How long it was waited after each death, the first one first."""
    return [float(found[1]) for death in reversed(deaths) if (found := WAITED.search(death.decision))]


# F11
@pytest.mark.timeout(180)
async def test_ten_connectors_that_die_at_once_start_two_at_a_time_and_seldom(tmp_path: Path) -> None:
    specs = [plain("exit-1", connector_id=f"c{number}") for number in range(10)]
    async with Bench(tmp_path, specs) as bench:
        most = 0

        async def watch() -> None:
            nonlocal most
            async for _ in bench.connectors.watch():
                states = bench.connectors.list()
                most = max(most, sum(one.state is ConnectorState.STARTING and one.pid > 0 for one in states))

        watching = asyncio.create_task(watch())
        limit = timedelta(seconds=120)
        calls = [bench.connectors.client(spec.id, limit) for spec in specs]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        watching.cancel()
        assert {type(answer) for answer in answers} == {ConnectorDown}
        states = bench.connectors.list()
        assert {one.state for one in states} == {ConnectorState.FAILED}
        assert {one.generation for one in states} == {5}
        assert 1 <= most <= 2
        # Each of them rolls its own die, so that they do not come back together.
        first = [waits(bench.connectors.deaths(spec.id))[0] for spec in specs]
        assert len(set(first)) > 1
        assert all(0.18 <= wait <= 0.32 for wait in first)


# F12
@pytest.mark.timeout(180)
async def test_a_connector_that_serves_and_dies_waits_longer_each_time(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        number = (await bench.ready()).generation
        for _ in range(5):
            send(bench.connectors.status("plain").pid, signal.SIGKILL)
            status = await bench.until(ConnectorState.READY, ConnectorState.FAILED, newer_than=number - 1)
            while status.state is ConnectorState.READY and status.generation == number:
                status = await bench.until(ConnectorState.BACKOFF, ConnectorState.FAILED, newer_than=number - 1)
            if status.state is ConnectorState.BACKOFF:
                number = (await bench.until(ConnectorState.READY, newer_than=number)).generation
        assert bench.connectors.status("plain").state is ConnectorState.FAILED
        waited = waits(bench.connectors.deaths("plain"))
        assert len(waited) == 5
        # Doubled, with a quarter more or less by chance: it never begins anew.
        assert all(after > before * 1.1 for before, after in pairwise(waited))
        # The breaker waits for minutes.
        assert waited[-1] > 60
