"""Remote jobs that nobody follows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from gateway.catalog.model import Price
from gateway.connections.model import Connection
from gateway.errors import GatewayError, NotFound, Reason, Unsupported
from gateway.jobs import orphans, states
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import JobReason, JobState, ListedJob, Observation, ResourceState
from gateway.jobs.orphans import Orphans
from gateway.jobs.tokens import is_own, token_of
from gateway.store.database import Database
from gateway.store.jobs import JobStore
from tests.support.clocks import NOON, FakeClock
from tests.support.fake_platform import FakePlatform, FakePlatforms, hourly
from tests.unit.jobs.test_states import JOB

pytestmark = pytest.mark.unit

RUNNING = Observation(state=JobState.RUNNING)


@dataclass
class Listing(FakePlatform):
    """A platform that lists what it is told to, or fails."""

    listed: list[ListedJob] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    failure: GatewayError | None = None

    async def list_jobs(self) -> list[ListedJob]:
        """List."""
        self.calls.append("list_jobs")
        if self.failure:
            raise self.failure
        return self.listed

    async def cancel(self, platform_job_id: str) -> None:
        """End one."""
        self.ended.append(platform_job_id)


def remote(name: str, token: str, seen: Observation = RUNNING) -> ListedJob:
    made = NOON - timedelta(hours=3)
    return ListedJob(platform_job_id=name, submission_token=token, created_at=made, seen=seen, resource_id="a")


def sweeper(ledger: Ledger, **platforms: Listing) -> Orphans:
    async def connections() -> Sequence[Connection]:
        return [Connection(id=name, connector_id="fake", name=name, created_at=NOON) for name in platforms]

    async def find_price(_: str, resource_id: str) -> Price:
        return hourly(resource_id, 2_000_000)

    return Orphans(
        ledger=ledger,
        platforms=FakePlatforms(dict(platforms)),
        clock=FakeClock(),
        connections=connections,
        find_price=find_price,
    )


def own(ledger: Ledger, number: int) -> str:
    return token_of(ledger.identity, f"job-{number:016}")


async def test_machines_with_our_tokens_and_no_job_are_told_of_with_age_and_price(ledger: Ledger) -> None:
    followed = replace(JOB, submission_token=own(ledger, 1), platform_job_id="m-1", state=JobState.RUNNING)
    await ledger.add(followed)
    submitting = replace(JOB, id="job-2", submission_token=own(ledger, 2))
    await ledger.add(submitting)
    over = replace(JOB, id="job-3", submission_token=own(ledger, 3))
    await ledger.add(over)
    await ledger.change(over.id, lambda now: states.fail(now, JobReason.SUBMIT_AMBIGUOUS, "lost", NOON))
    listed = [remote(f"m-{number}", own(ledger, number)) for number in (1, 2, 3, 4)]
    listed.append(remote("m-1-again", own(ledger, 1)))
    listed.append(remote("m-5", own(ledger, 5), Observation(state=JobState.SUCCEEDED)))
    found = await sweeper(ledger, one=Listing(listed=listed)).find()
    assert {(orphan.listed.platform_job_id, orphan.job_id) for orphan in found.orphans} == {
        ("m-3", "job-3"),
        ("m-4", ""),
        ("m-1-again", JOB.id),
    }
    assert all(orphan.price and orphan.price.amount_micros == 2_000_000 for orphan in found.orphans)
    assert all(orphan.listed.created_at == NOON - timedelta(hours=3) for orphan in found.orphans)


async def test_machines_of_other_gateways_and_of_people_are_left_alone(ledger: Ledger, database: Database) -> None:
    listed = [remote("theirs", token_of("ffffffff", JOB.id)), remote("by-hand", ""), remote("odd", "peft-")]
    sweep = sweeper(ledger, one=Listing(listed=listed))
    assert (await sweep.find()).orphans == ()
    with pytest.raises(NotFound):
        await sweep.end("theirs")
    again = Ledger(JobStore(database), FakeClock())
    await again.load()
    assert again.identity == ledger.identity
    assert len(ledger.identity) == 8
    assert not is_own("", "peft--x")


async def test_a_connection_that_cannot_be_asked_is_named_and_the_others_are_asked(ledger: Ledger) -> None:
    good = Listing(listed=[remote("m-4", own(ledger, 4))])
    found = await sweeper(
        ledger,
        good=good,
        old=Listing(failure=Unsupported("old", "list_jobs")),
        down=Listing(failure=GatewayError("503", reason=Reason.PLATFORM_UNAVAILABLE)),
    ).find()
    assert [orphan.listed.platform_job_id for orphan in found.orphans] == ["m-4"]
    assert [(one.connection_id, one.reason) for one in found.errors] == [
        ("old", Reason.UNSUPPORTED),
        ("down", Reason.PLATFORM_UNAVAILABLE),
    ]


async def test_an_orphan_is_ended_by_name_and_nothing_that_is_followed_can_be(ledger: Ledger) -> None:
    await ledger.add(replace(JOB, submission_token=own(ledger, 1), platform_job_id="m-1", state=JobState.RUNNING))
    platform = Listing(listed=[remote("m-1", own(ledger, 1)), remote("m-4", own(ledger, 4))])
    sweep = sweeper(ledger, one=platform)
    with pytest.raises(NotFound, match="peftstudio jobs orphans"):
        await sweep.end("m-1")
    assert (await sweep.end("m-4")).listed.platform_job_id == "m-4"
    assert platform.ended == ["m-4"]


async def test_every_sweep_warns_of_each_orphan_with_its_age_its_price_and_the_way_to_end_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(orphans, "SWEEP_SECONDS", 0.0)
    await ledger.add(replace(JOB, connection_id="one"))
    unused = Listing(listed=[remote("m-5", own(ledger, 5))])
    await ledger.add(replace(JOB, id="job-9", submission_token="peft-9", connection_id="old"))
    platform = Listing(listed=[remote("m-4", own(ledger, 4))])
    old = Listing(failure=Unsupported("old", "list_jobs"))
    with capture_logs() as told:
        sweeping = asyncio.create_task(sweeper(ledger, one=platform, unused=unused, old=old).run())
        async with asyncio.timeout(10):
            while len(told) < 3:  # noqa: ASYNC110 - one turn of the loop at a time
                await asyncio.sleep(0)
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
    assert {(one["log_level"], one["event"], one["platform_job_id"]) for one in told} == {("warning", "orphan", "m-4")}
    # What cannot list is asked once; what never had a job is not asked at all.
    assert (platform.count("list_jobs") >= 3, old.count("list_jobs"), unused.count("list_jobs")) == (True, 1, 0)
    assert (told[0]["age_seconds"], told[0]["price_per_hour"]) == (3 * 3600, "2.00 USD")
    assert told[0]["end_it"] == "peftstudio jobs orphans --end m-4"


async def test_a_job_that_ends_while_the_list_is_on_its_way_is_no_orphan(ledger: Ledger, clock: FakeClock) -> None:
    class Slow(Listing):
        async def list_jobs(self) -> list[ListedJob]:
            clock.advance(1)
            await ledger.change(JOB.id, lambda now: states.observe(now, Observation(state=JobState.SUCCEEDED), NOON))
            return self.listed

    token = own(ledger, 1)
    await ledger.add(replace(JOB, submission_token=token, platform_job_id="m-1", state=JobState.RUNNING))
    assert (await sweeper(ledger, a=Slow(listed=[remote("m-1", token)])).find()).orphans == ()
    # One that still goes on in the next list is one.
    await ledger.add(replace(JOB, id="job-2", submission_token=own(ledger, 2), state=JobState.FAILED))
    (found,) = (await sweeper(ledger, a=Listing(listed=[remote("m-2", own(ledger, 2))])).find()).orphans
    assert found.job_id == "job-2"


async def test_a_training_that_has_ended_on_a_machine_that_is_still_held_is_an_orphan(ledger: Ledger) -> None:
    token = own(ledger, 1)
    await ledger.add(replace(JOB, submission_token=token, platform_job_id="m-1", state=JobState.FAILED))
    released = Observation(state=JobState.FAILED, resource_state=ResourceState.RELEASED)
    assert (await sweeper(ledger, a=Listing(listed=[remote("m-1", token, released)])).find()).orphans == ()
    held = Observation(state=JobState.FAILED, resource_state=ResourceState.HELD)
    (found,) = (await sweeper(ledger, a=Listing(listed=[remote("m-1", token, held)])).find()).orphans
    assert found.listed.platform_job_id == "m-1"
