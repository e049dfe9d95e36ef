"""What a look at a platform may change, and what it must not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from gateway.errors import GatewayError, NotFound, Reason, RemoteError
from gateway.jobs.denials import LOST_SECONDS
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobReason, JobState, ListedJob, Metric, Observation, Progress, ResourceState
from gateway.jobs.poller import Poller
from gateway.jobs.rhythm import Rhythm
from gateway.platform import Platform, Platforms
from gateway.plugins.model import Description
from gateway.store.database import Database
from tests.support.clocks import NOON, FakeClock
from tests.support.fake_platform import FakePlatform
from tests.support.log_source import OnePlatform
from tests.unit.jobs.test_commits import Counting, loaded
from tests.unit.jobs.test_ledger import job
from tests.unit.jobs.test_states import JOB

pytestmark = pytest.mark.unit

RUNNING = replace(JOB, state=JobState.RUNNING, platform_job_id="remote-1")


@dataclass
class Watched(FakePlatform):
    """A platform that shows what it is told to show."""

    shows: Observation | Exception = field(default_factory=lambda: Observation(state=JobState.RUNNING))
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    waits: bool = False

    async def look(self, platform_job_ids: Sequence[str]) -> Mapping[str, Observation | Exception]:
        """Show it."""
        self.calls.append("look")
        if self.waits:
            await self.gate.wait()
        return dict.fromkeys(platform_job_ids, self.shows)


@dataclass
class Heard:
    """What the poller told."""

    ended: list[tuple[Job, Observation]] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)

    def on_ended(self, job: Job, seen: Observation) -> None:
        self.ended.append((job, seen))

    async def on_rejected(self, connection_id: str, message: str) -> None:
        self.rejected.append((connection_id, message))


def poller(
    ledger: Ledger,
    platform: FakePlatform,
    heard: Heard,
    clock: FakeClock | None = None,
    platforms: Platforms | None = None,
) -> Poller:
    return Poller(
        "conn-1",
        ledger=ledger,
        platforms=platforms or OnePlatform(platform),
        clock=clock or FakeClock(),
        on_ended=heard.on_ended,
        on_rejected=heard.on_rejected,
    )


@pytest.mark.parametrize("reason", sorted(Reason))
async def test_no_error_of_a_look_ever_changes_a_jobs_state(ledger: Ledger, reason: Reason) -> None:
    await ledger.add(RUNNING)
    await poller(ledger, Watched(shows=GatewayError("no", reason=reason)), Heard()).look()
    job = await ledger.get(JOB.id)
    assert job.state is JobState.RUNNING
    assert job.last_error == f"{reason}: no"


async def test_a_look_that_succeeds_ends_the_staleness(ledger: Ledger) -> None:
    await ledger.add(replace(RUNNING, last_error="PLATFORM_UNAVAILABLE: no"))
    await poller(ledger, Watched(), Heard()).look()
    job = await ledger.get(JOB.id)
    assert (job.last_error, job.observed_at) == ("", NOON)


async def test_rejected_credentials_are_told(ledger: Ledger) -> None:
    await ledger.add(RUNNING)
    heard = Heard()
    await poller(ledger, Watched(shows=GatewayError("401", reason=Reason.CREDENTIALS_REJECTED)), heard).look()
    assert heard.rejected == [("conn-1", "401")]


async def test_an_end_is_told_and_not_yet_applied_because_the_log_comes_first(ledger: Ledger) -> None:
    await ledger.add(RUNNING)
    heard = Heard()
    await poller(ledger, Watched(shows=Observation(state=JobState.SUCCEEDED)), heard).look()
    assert [seen.state for _, seen in heard.ended] == [JobState.SUCCEEDED]
    assert (await ledger.get(JOB.id)).state is JobState.RUNNING


async def test_what_one_look_finds_of_many_jobs_is_stored_together(database: Database) -> None:
    store = Counting(database)
    ledger = await loaded(store)
    for number in range(20):
        await ledger.add(job(number, platform_job_id=f"there-{number}"))
    store.sizes.clear()
    await poller(ledger, Watched(), Heard()).look()
    assert sum(store.sizes) == 20
    # One may have been under way already when the others came.
    assert len(store.sizes) <= 2
    assert {found.state for found in await store.open_jobs()} == {JobState.RUNNING}


async def test_looks_at_the_same_time_are_one_call(ledger: Ledger) -> None:
    await ledger.add(RUNNING)
    platform = Watched(waits=True)
    looking = poller(ledger, platform, Heard())
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(looking.look())
        while not platform.calls:  # noqa: ASYNC110 - one turn of the loop at a time
            await asyncio.sleep(0)
        platform.gate.set()
    assert platform.calls == ["look"]


async def test_a_users_look_does_not_wait_for_one_that_still_waits_for_its_turn(ledger: Ledger) -> None:
    await ledger.add(RUNNING)

    @dataclass
    class InLine(Watched):
        async def look(self, platform_job_ids: Sequence[str]) -> Mapping[str, Observation | Exception]:
            self.calls.append("look")
            if len(self.calls) == 1:
                await self.gate.wait()
            return dict.fromkeys(platform_job_ids, self.shows)

    platform = InLine()
    looking = poller(ledger, platform, Heard())
    running = asyncio.create_task(looking.run())
    async with asyncio.timeout(10):
        while not platform.calls:  # noqa: ASYNC110 - one turn of the loop at a time
            await asyncio.sleep(0)
        await asyncio.gather(*(looking.look() for _ in range(20)))
    assert len(platform.calls) == 2
    assert (await ledger.get(JOB.id)).observed_at == NOON
    running.cancel()


async def test_without_open_jobs_nobody_is_asked_anything(ledger: Ledger) -> None:
    @dataclass
    class Nobody:
        asked: int = 0

        async def platform(self, connection_id: str) -> Platform:
            self.asked += 1
            raise NotImplementedError

    nobody, heard = Nobody(), Heard()
    idle = Poller(
        "conn-1",
        ledger=ledger,
        platforms=nobody,
        clock=FakeClock(),
        on_ended=heard.on_ended,
        on_rejected=heard.on_rejected,
    )
    running = asyncio.create_task(idle.run())
    for _ in range(10):
        idle.poke(JOB.id)
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert nobody.asked == 0


async def test_news_of_one_job_has_that_job_looked_at_and_not_the_others(ledger: Ledger) -> None:
    @dataclass
    class Asked(Watched):
        asked: list[list[str]] = field(default_factory=list)

        async def look(self, platform_job_ids: Sequence[str]) -> Mapping[str, Observation | Exception]:
            self.asked.append(list(platform_job_ids))
            return await super().look(platform_job_ids)

    for number in range(3):
        await ledger.add(job(number, platform_job_id=f"there-{number}"))
    platform = Asked()
    looking = poller(ledger, platform, Heard())
    running = asyncio.create_task(looking.run())
    async with asyncio.timeout(10):
        while len(platform.asked) < 2:
            if platform.asked:
                looking.poke("job-001")
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert platform.asked == [["there-0", "there-1", "there-2"], ["there-1"]]


async def test_news_all_the_time_does_not_keep_the_other_jobs_from_being_looked_at() -> None:
    rhythm, everything, news = Rhythm(), list[str](), ["job-1"]
    looks: list[list[str]] = []
    async with asyncio.timeout(10):
        while looks.count(everything) < 2:
            rhythm.hear("job-1", NOON)
            looks.append(list(await rhythm.next(is_idle=False)))
            rhythm.looked(0.3, 0.0, has_changed=True, is_at_all=looks[-1] == everything)
    assert looks[0] == looks[-1] == everything
    assert looks[1:-1] == [news] * (len(looks) - 2)


DENIED = RemoteError("no such job", reason=Reason.NOT_FOUND)


async def test_a_job_that_its_platform_denies_for_long_is_lost(ledger: Ledger) -> None:
    await ledger.add(RUNNING)
    heard, clock = Heard(), FakeClock()
    looking = poller(ledger, Watched(shows=DENIED), heard, clock)
    await looking.look()
    clock.advance(LOST_SECONDS - 1)
    await looking.look()
    assert heard.ended == []
    clock.advance(1)
    await looking.look()
    assert [(seen.state, seen.reason) for _, seen in heard.ended] == [(JobState.FAILED, JobReason.LOST)]


async def test_one_look_that_finds_the_job_again_begins_the_time_anew(ledger: Ledger) -> None:
    await ledger.add(RUNNING)
    heard, clock, platform = Heard(), FakeClock(), Watched(shows=DENIED)
    looking = poller(ledger, platform, heard, clock)
    for shows in (DENIED, Observation(state=JobState.RUNNING), DENIED, GatewayError("?", reason=Reason.NOT_FOUND)):
        platform.shows = shows
        await looking.look()
        clock.advance(LOST_SECONDS * 2)
    platform.shows = DENIED
    await looking.look()
    assert heard.ended == []


async def test_a_job_that_is_denied_while_it_is_cancelled_is_cancelled(ledger: Ledger) -> None:
    await ledger.add(replace(RUNNING, state=JobState.CANCELLING))
    heard, clock = Heard(), FakeClock()
    looking = poller(ledger, Watched(shows=DENIED), heard, clock)
    await looking.look()
    clock.advance(LOST_SECONDS)
    await looking.look()
    assert [seen.state for _, seen in heard.ended] == [JobState.CANCELLED]


async def test_jobs_of_a_connection_that_is_gone_end_and_say_that_they_may_still_run(ledger: Ledger) -> None:
    class Gone(OnePlatform):
        async def platform(self, connection_id: str) -> FakePlatform:
            raise NotFound("connection", connection_id)

    await ledger.add(RUNNING)
    heard = Heard()
    await poller(ledger, Watched(), heard, platforms=Gone(Watched())).look()
    ((_, seen),) = heard.ended
    assert (seen.state, seen.reason, seen.resource_state) == (JobState.FAILED, JobReason.LOST, ResourceState.UNKNOWN)
    assert "remote-1" in seen.message


async def test_metrics_that_do_not_come_hold_up_neither_other_jobs_nor_the_end(ledger: Ledger) -> None:
    @dataclass
    class Stuck(Watched):
        async def describe(self) -> Description:
            return Description(name="stuck", capabilities=frozenset({"get_metrics"}))

        async def metrics(self, platform_job_id: str, cursor: str) -> tuple[list[Metric], str]:
            if platform_job_id == "remote-1":
                await self.gate.wait()
            raise GatewayError("no", reason=Reason.PLATFORM_TIMEOUT)

        async def look(self, platform_job_ids: Sequence[str]) -> Mapping[str, Observation | Exception]:
            return {
                "remote-1": Observation(state=JobState.RUNNING),
                "remote-2": Observation(state=JobState.SUCCEEDED),
                "remote-3": Observation(state=JobState.RUNNING, progress=Progress(step=7)),
            }

    for number in (1, 2, 3):
        named = replace(RUNNING, id=f"job-{number}", platform_job_id=f"remote-{number}", submission_token=str(number))
        await ledger.add(named)
    platform, heard = Stuck(), Heard()
    looking = asyncio.create_task(poller(ledger, platform, heard).look())
    async with asyncio.timeout(5):
        while not heard.ended:  # noqa: ASYNC110 - one turn of the loop at a time
            await asyncio.sleep(0)
        assert (await ledger.get("job-3")).progress == Progress(step=7)
        assert not looking.done()
        platform.gate.set()
        await looking
    assert [job.id for job, _ in heard.ended] == ["job-2"]


@dataclass
class Listed(Watched):
    """A platform that denies a job by its id, and may still list it."""

    lists: list[ListedJob] | GatewayError = field(default_factory=list)

    async def describe(self) -> Description:
        """Say that it can list."""
        return Description(name="listed", capabilities=frozenset({"list_jobs"}))

    async def list_jobs(self) -> list[ListedJob]:
        """List, or fail."""
        if isinstance(self.lists, GatewayError):
            raise self.lists
        return self.lists


async def test_a_job_is_lost_only_when_the_platforms_own_list_does_not_have_it_either(ledger: Ledger) -> None:
    await ledger.add(RUNNING)
    heard, clock = Heard(), FakeClock()
    there = ListedJob(
        platform_job_id="renamed", submission_token=JOB.submission_token, created_at=None, seen=Observation(state=None)
    )
    platform = Listed(shows=DENIED, lists=[there])
    looking = poller(ledger, platform, heard, clock)
    await looking.look()
    for lists in ([there], GatewayError("503", reason=Reason.PLATFORM_UNAVAILABLE)):
        platform.lists = lists
        clock.advance(LOST_SECONDS)
        await looking.look()
        assert heard.ended == []
    platform.lists = []
    await looking.look()
    assert [seen.reason for _, seen in heard.ended] == [JobReason.LOST]


async def test_where_calls_are_few_each_look_takes_the_jobs_whose_last_look_is_longest_ago(ledger: Ledger) -> None:
    @dataclass
    class Few(Watched):
        asked: list[str] = field(default_factory=list)

        async def describe(self) -> Description:
            return Description(name="few", requests_per_minute=16)

        async def look(self, platform_job_ids: Sequence[str]) -> Mapping[str, Observation | Exception]:
            self.asked = list(platform_job_ids)
            return await super().look(platform_job_ids)

    for number in range(10):
        named = replace(RUNNING, id=f"job-{number}", platform_job_id=f"remote-{number}", submission_token=str(number))
        await ledger.add(named)
    platform, clock = Few(), FakeClock()
    looking = poller(ledger, platform, Heard(), clock)
    rounds = []
    for _ in range(3):
        await looking.look()
        rounds.append(platform.asked)
        clock.advance(1)
    assert [len(asked) for asked in rounds] == [4, 4, 4]
    assert len({job for asked in rounds for job in asked}) == 10
    await looking.look("job-3")
    assert platform.asked[0] == "remote-3"


async def test_a_look_that_the_gateway_itself_held_back_makes_nothing_stale(ledger: Ledger) -> None:
    await ledger.add(RUNNING)
    held_back = GatewayError("its turn comes later", reason=Reason.RATE_LIMITED)
    held_back.is_unsent = True
    await poller(ledger, Watched(shows=held_back), Heard()).look()
    assert (await ledger.get(JOB.id)).last_error == ""
