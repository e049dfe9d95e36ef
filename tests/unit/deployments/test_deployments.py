"""What becomes of a deployment when something breaks on the way."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.connections.model import Connection
from gateway.deployments.model import Deployment, DeploymentState, DeploymentWish
from gateway.deployments.service import Deployments
from gateway.errors import GatewayError, LedgerUnavailable, Reason, RemoteError, WrongState
from gateway.store.database import Database
from gateway.store.deployments import DeploymentStore
from gateway.store.sqlite import SQLite
from tests.support.clocks import NOON, FakeClock

pytestmark = pytest.mark.unit

WISH = DeploymentWish(connection_id="lab", model="m", options='{"a": 1}')


@dataclass
class Platform:
    """Deploys into a set; answers as it is told."""

    there: set[str] = field(default_factory=set)
    failures: list[GatewayError] = field(default_factory=list)
    """What the next calls fail with, after they did their work."""
    hangs: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a call hangs that is to."""
    is_to_hang: bool = False

    async def require(self, *capabilities: str) -> None:
        return

    async def deploy(self, deployment: Deployment) -> tuple[str, str]:
        self.there.add(deployment.id)
        await self._answer()
        return deployment.id, ""

    async def stop(self, platform_id: str) -> None:
        await self._answer()
        self.there.discard(platform_id)

    async def endpoint(self, platform_id: str) -> str:
        return f"https://x/{platform_id}"

    async def invoke(self, platform_id: str, question: str) -> str:
        return question

    async def metrics(self, platform_id: str) -> str:
        return "{}"

    async def update(self, platform_id: str, changes: str) -> None:
        return

    async def _answer(self) -> None:
        if self.is_to_hang:
            self.hangs.set()
            await asyncio.Event().wait()
        if self.failures:
            raise self.failures.pop(0)


def make(database: Database, platform: Platform) -> Deployments:
    async def find(id_or_name: str) -> Connection:
        return Connection(id=id_or_name, connector_id="lab", name="lab", created_at=NOON)

    async def verbs(connection_id: str) -> Platform:
        return platform

    return Deployments(store=DeploymentStore(database), find_connection=find, verbs=verbs, clock=FakeClock())


async def test_a_gateway_that_ends_while_a_platform_deploys_says_so_at_its_next_start(database: Database) -> None:
    platform = Platform(is_to_hang=True)
    first = make(database, platform)
    creating = asyncio.create_task(first.create(WISH))
    await asyncio.wait_for(platform.hangs.wait(), 10)
    (under_way,) = await DeploymentStore(database).in_state(DeploymentState.DEPLOYING)
    with pytest.raises(WrongState, match="still being made"):
        await first.stop(under_way.id)
    await first.close()
    await asyncio.wait([creating])
    second = make(database, platform)
    await second.start()
    found = await second.get(under_way.id)
    assert (found.state, found.id in found.message) == (DeploymentState.IN_DOUBT, True)


async def test_a_client_that_hangs_up_takes_nothing_away(database: Database) -> None:
    platform = Platform(is_to_hang=True)
    deployments = make(database, platform)
    creating = asyncio.create_task(deployments.create(WISH))
    await asyncio.wait_for(platform.hangs.wait(), 10)
    creating.cancel()
    await asyncio.wait([creating])
    assert len(await DeploymentStore(database).in_state(DeploymentState.DEPLOYING)) == 1
    await deployments.close()


async def test_an_answer_is_noted_although_the_ledger_is_away_at_that_moment(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, fails = DeploymentStore.change, [LedgerUnavailable("away"), LedgerUnavailable("away")]

    async def sometimes(
        self: DeploymentStore, deployment_id: str, how: Callable[[Deployment], Deployment]
    ) -> Deployment | None:
        if fails:
            raise fails.pop()
        return await change(self, deployment_id, how)

    monkeypatch.setattr(DeploymentStore, "change", sometimes)
    made, _ = await make(database, Platform()).create(WISH)
    assert (made.state, fails) == (DeploymentState.ACTIVE, [])


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_ledger_that_is_lost_in_the_very_commit_leaves_nothing_that_seems_to_be_made(
    database: Database, monkeypatch: pytest.MonkeyPatch, is_stored: bool
) -> None:
    add = DeploymentStore.add

    async def cut(self: DeploymentStore, deployment: Deployment) -> None:
        if is_stored:
            await add(self, deployment)
        lost = LedgerUnavailable("cut")
        lost.is_in_doubt = True
        raise lost

    monkeypatch.setattr(DeploymentStore, "add", cut)
    platform = Platform()
    with pytest.raises(LedgerUnavailable):
        await make(database, platform).create(WISH)
    assert not platform.there
    failed = await DeploymentStore(database).in_state(DeploymentState.FAILED)
    assert len(failed) == int(is_stored)
    assert not await DeploymentStore(database).in_state(DeploymentState.DEPLOYING)


async def test_a_call_that_was_never_sent_leaves_no_doubt(database: Database) -> None:
    unsent = RemoteError("refused", reason=Reason.PLATFORM_UNAVAILABLE)
    unsent.is_unsent = True
    made, _ = await make(database, Platform(failures=[unsent])).create(WISH)
    assert made.state is DeploymentState.FAILED


@settings(max_examples=25)
@given(reasons=st.lists(st.sampled_from([reason for reason in Reason if reason is not Reason.NOT_FOUND]), max_size=4))
def test_a_stop_is_asked_for_until_it_happens_whatever_the_platform_answers(
    sqlite_template: Path, reasons: list[Reason]
) -> None:
    asyncio.run(_stop_through(sqlite_template, reasons))


async def _stop_through(template: Path, reasons: list[Reason]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = await Database.open(SQLite(Path(shutil.copy(template, folder))))
        platform = Platform()
        deployments = make(database, platform)
        made, _ = await deployments.create(WISH)
        platform.failures = [RemoteError("no", reason=reason) for reason in reasons]
        stopped = await deployments.stop(made.id)
        assert stopped.state is (DeploymentState.STOPPING if reasons else DeploymentState.STOPPED)
        running = asyncio.create_task(deployments.run(pause_seconds=0))
        async with asyncio.timeout(10):
            while (await deployments.get(made.id)).state is not DeploymentState.STOPPED:  # noqa: ASYNC110 - the ledger tells
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        assert not platform.there
        await database.close()
