"""At most one remote job for one wish, whatever breaks on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gateway.errors import AMBIGUOUS, ConnectorDown, GatewayError, LedgerUnavailable, Reason, StorageFull
from gateway.jobs import states, submitter, twins
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobReason, JobState, ResourceState
from gateway.jobs.order import Orders
from gateway.jobs.states import Step
from gateway.jobs.submitter import Submitter
from gateway.platform import SubmitOrder
from gateway.plugins.model import Description, SubmitSafety
from tests.support.clocks import FakeClock
from tests.support.fake_platform import FakePlatform
from tests.support.job_parts import NoShelf
from tests.support.log_source import OnePlatform
from tests.unit.jobs.test_states import JOB

pytestmark = pytest.mark.unit


@dataclass
class Renting(FakePlatform):
    """A platform that loses answers: before the job was made, or after it."""

    safety: SubmitSafety = SubmitSafety.NONE
    failures: list[tuple[str, Reason]] = field(default_factory=list)
    """One is taken by each submission: when it fails, and how."""
    made: int = 0

    async def describe(self) -> Description:
        """Say how safe a submission is."""
        return Description(name="renting", submit_safety=self.safety)

    async def submit(self, order: SubmitOrder) -> str:
        """Make a machine, or fail before or after it."""
        self.calls.append("submit")
        when, reason = self.failures.pop(0) if self.failures else ("never", Reason.QUOTA)
        if when in ("before", "unsent"):
            error = GatewayError("refused", reason=reason)
            error.is_unsent = when == "unsent"
            raise error
        is_known = self.safety is SubmitSafety.KEYED and await self.find(order.submission_token)
        if not is_known:
            self.made += 1
        self.jobs["remote-1"] = order
        if when == "after":
            raise GatewayError("the answer was lost", reason=reason)
        return "remote-1"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once: what is tested is what is done, not when."""
    monkeypatch.setattr(submitter, "RETRY_FIRST_SECONDS", 0.0)
    monkeypatch.setattr(submitter, "RETRY_CAP_SECONDS", 0.0)
    monkeypatch.setattr(submitter, "LOOK_AFTER_SECONDS", (0.0, 0.0))


def submitting(ledger: Ledger, platform: FakePlatform) -> Submitter:
    return Submitter(ledger, OnePlatform(platform), Orders(NoShelf()), FakeClock())


async def kinds(ledger: Ledger) -> list[str]:
    return [event.kind for event in await ledger.events(JOB.id, 0, 100)]


async def run(ledger: Ledger, platform: FakePlatform, rejected: list[tuple[str, str]] | None = None) -> Job:
    async def note(connection_id: str, words: str) -> None:
        if rejected is not None:
            rejected.append((connection_id, words))

    # Far more than any needs: a write waits for the disk.
    async with asyncio.timeout(60):
        return await Submitter(ledger, OnePlatform(platform), Orders(NoShelf()), FakeClock(), note).run(JOB.id)


@pytest.mark.parametrize("safety", [SubmitSafety.KEYED, SubmitSafety.FINDABLE])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_answer_makes_one_machine_where_the_platform_can_tell(
    ledger: Ledger, safety: SubmitSafety, when: str
) -> None:
    await ledger.add(JOB)
    platform = Renting(safety=safety, failures=[(when, Reason.PLATFORM_TIMEOUT)])
    job = await run(ledger, platform)
    assert (job.state, job.platform_job_id, platform.made) == (JobState.QUEUED, "remote-1", 1)


async def test_a_lost_answer_fails_the_job_rather_than_rent_twice_where_nobody_can_tell(ledger: Ledger) -> None:
    await ledger.add(JOB)
    platform = Renting(failures=[("after", Reason.PLATFORM_TIMEOUT)])
    job = await run(ledger, platform)
    assert (job.state, job.reason) == (JobState.FAILED, JobReason.SUBMIT_AMBIGUOUS)
    assert JOB.submission_token in job.message
    assert platform.made == 1


@pytest.mark.parametrize("reason", [Reason.RATE_LIMITED, Reason.OVERLOADED])
async def test_a_refusal_that_says_come_back_is_not_ambiguous(ledger: Ledger, reason: Reason) -> None:
    await ledger.add(JOB)
    platform = Renting(failures=[("before", reason)] * 3)
    assert (await run(ledger, platform)).state is JobState.QUEUED
    assert (platform.made, platform.count("submit")) == (1, 4)


async def test_a_gateway_that_was_killed_during_the_call_looks_before_it_calls_again(ledger: Ledger) -> None:
    await ledger.add(JOB)
    platform = Renting(safety=SubmitSafety.FINDABLE)
    await ledger.change(JOB.id, lambda now: states.Step(now, "submit_started", "the platform is called"))
    await platform.submit(await Orders(NoShelf()).make(JOB))
    job = await run(ledger, platform)
    assert (job.platform_job_id, platform.made, platform.count("submit")) == ("remote-1", 1, 1)


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        (Reason.INVALID_CONFIG, JobReason.CONFIG_REJECTED),
        (Reason.CREDENTIALS_REJECTED, JobReason.AUTH_REVOKED),
        (Reason.INSUFFICIENT_CREDITS, JobReason.CREDITS_EXHAUSTED),
        (Reason.NO_CAPACITY, JobReason.NO_CAPACITY),
    ],
)
async def test_a_final_refusal_fails_the_job_with_its_reason(ledger: Ledger, reason: Reason, why: JobReason) -> None:
    await ledger.add(JOB)
    job = await run(ledger, Renting(failures=[("before", reason)]))
    assert (job.state, job.reason, job.message) == (JobState.FAILED, why, "refused")


async def test_a_job_that_was_cancelled_before_it_was_submitted_is_never_submitted(ledger: Ledger) -> None:
    await ledger.add(JOB)
    await ledger.change(JOB.id, lambda now: states.request_cancel(now, JobReason.CANCELLED_BY_USER, "no"))
    platform = Renting(safety=SubmitSafety.KEYED)
    job = await run(ledger, platform)
    assert (job.state, platform.made) == (JobState.CANCELLED, 0)


async def test_a_job_that_is_cancelled_behind_a_lost_answer_ends_once_the_platform_was_asked_for_it(
    ledger: Ledger,
) -> None:
    class Cancelled(Renting):
        async def find(self, submission_token: str) -> str:
            await ledger.change(JOB.id, lambda now: states.request_cancel(now, JobReason.CANCELLED_BY_USER, "no"))
            return await super().find(submission_token)

    await ledger.add(JOB)
    platform = Cancelled(safety=SubmitSafety.FINDABLE, failures=[("before", Reason.PLATFORM_TIMEOUT)])
    job = await run(ledger, platform)
    assert (job.state, platform.made, platform.count("submit")) == (JobState.CANCELLED, 0, 1)
    assert platform.count("find") == 3
    assert "knows of no such job" in job.message


async def test_a_dataset_that_is_gone_fails_the_job_with_its_name(ledger: Ledger) -> None:
    class Empty(NoShelf):
        async def resolve(self, uri: str) -> Path:
            from gateway.errors import NotFound

            raise NotFound("dataset", uri)

    await ledger.add(replace(JOB, config=replace(JOB.config, dataset_uri="upload://abc")))
    async with asyncio.timeout(10):
        job = await Submitter(ledger, OnePlatform(Renting()), Orders(Empty()), FakeClock()).run(JOB.id)
    assert (job.state, job.reason) == (JobState.FAILED, JobReason.CONFIG_REJECTED)
    assert "upload://abc" in job.message


async def test_a_thousand_refusals_do_not_make_a_submission_ambiguous(ledger: Ledger) -> None:
    await ledger.add(JOB)
    platform = Renting(failures=[("before", Reason.RATE_LIMITED)] * 510)
    job = await run(ledger, platform)
    assert (job.state, platform.made) == (JobState.QUEUED, 1)


@pytest.mark.parametrize("safety", SubmitSafety)
@pytest.mark.parametrize("error", [StorageFull("the disk is full"), LedgerUnavailable("the server is gone")])
async def test_a_ledger_that_cannot_be_written_for_a_while_when_the_platform_accepts_fails_no_job(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, safety: SubmitSafety, error: GatewayError
) -> None:
    await ledger.add(JOB)
    platform = Renting(safety=safety)
    change = ledger.change
    failed: list[str] = []

    async def full_twice(job_id: str, apply: Callable[[Job], Step]) -> Job:
        if platform.made and len(failed) < 2:
            failed.append(job_id)
            raise error
        return await change(job_id, apply)

    monkeypatch.setattr(ledger, "change", full_twice)
    job = await run(ledger, platform)
    assert len(failed) == 2
    assert (job.state, job.platform_job_id, platform.made) == (JobState.QUEUED, "remote-1", 1)
    assert platform.count("submit") == 1


@pytest.mark.parametrize("reason", Reason)
async def test_of_every_failure_it_is_known_whether_a_machine_may_have_been_rented(
    ledger: Ledger, reason: Reason
) -> None:
    await ledger.add(JOB)
    platform = Renting(failures=[("before", reason)])
    job = await run(ledger, platform)
    if reason in AMBIGUOUS:
        assert (job.reason, job.resource_state) == (JobReason.SUBMIT_AMBIGUOUS, ResourceState.UNKNOWN)
        assert (platform.made, platform.count("submit")) == (0, 1)
    elif reason in (Reason.RATE_LIMITED, Reason.OVERLOADED):
        assert (job.state, platform.made) == (JobState.QUEUED, 1)
    else:
        assert (job.state, job.resource_state) == (JobState.FAILED, ResourceState.NONE)
        assert job.reason not in (JobReason.SUBMIT_AMBIGUOUS, JobReason.UNSPECIFIED)


async def test_a_platform_that_was_not_reached_at_all_is_called_again_even_where_nobody_can_tell(
    ledger: Ledger,
) -> None:
    await ledger.add(JOB)
    platform = Renting(failures=[("unsent", Reason.PLATFORM_UNAVAILABLE)] * 3)
    job = await run(ledger, platform)
    assert (job.state, platform.made, platform.count("submit")) == (JobState.QUEUED, 1, 4)


@pytest.mark.parametrize(
    ("refusals", "why"),
    [
        ([Reason.QUOTA], JobReason.SUBMIT_AMBIGUOUS),
        ([Reason.NO_CAPACITY], JobReason.SUBMIT_AMBIGUOUS),
        ([Reason.INSUFFICIENT_CREDITS], JobReason.SUBMIT_AMBIGUOUS),
        ([Reason.RATE_LIMITED, Reason.WRONG_STATE], JobReason.SUBMIT_AMBIGUOUS),
        ([Reason.INVALID_CONFIG], JobReason.CONFIG_REJECTED),
    ],
)
async def test_a_refusal_behind_a_lost_answer_does_not_say_that_no_machine_was_rented(
    ledger: Ledger, refusals: list[Reason], why: JobReason
) -> None:
    await ledger.add(JOB)
    failures = [("after", Reason.PLATFORM_TIMEOUT), *(("before", reason) for reason in refusals)]
    job = await run(ledger, Renting(safety=SubmitSafety.KEYED, failures=failures))
    assert (job.state, job.reason) == (JobState.FAILED, why)
    if why is JobReason.SUBMIT_AMBIGUOUS:
        assert job.resource_state is ResourceState.UNKNOWN
        assert JOB.submission_token in job.message
        assert "refused" in job.message


async def test_a_platform_that_was_asked_in_vain_for_a_lost_submission_can_refuse_the_next_one(ledger: Ledger) -> None:
    await ledger.add(JOB)
    failures = [("before", Reason.PLATFORM_TIMEOUT), ("before", Reason.NO_CAPACITY)]
    job = await run(ledger, Renting(safety=SubmitSafety.FINDABLE, failures=failures))
    assert (job.reason, job.resource_state) == (JobReason.NO_CAPACITY, ResourceState.NONE)


@pytest.mark.parametrize("safety", [SubmitSafety.KEYED, SubmitSafety.FINDABLE])
async def test_credentials_that_fail_behind_a_lost_answer_are_told_and_the_job_is_followed_until_they_are_rotated(
    ledger: Ledger, safety: SubmitSafety
) -> None:
    @dataclass
    class Revoking(Renting):
        rejections: int = 3

        async def find(self, submission_token: str) -> str:
            if self.rejections:
                self.rejections -= 1
                raise GatewayError("401", reason=Reason.CREDENTIALS_REJECTED)
            return await super().find(submission_token)

    await ledger.add(JOB)
    platform = Revoking(safety=safety, failures=[("after", Reason.PLATFORM_TIMEOUT)])
    if safety is SubmitSafety.KEYED:
        platform.failures += [("before", Reason.CREDENTIALS_REJECTED)] * 3
        platform.rejections = 0
    rejected: list[tuple[str, str]] = []
    job = await run(ledger, platform, rejected)
    assert (job.state, job.platform_job_id, platform.made) == (JobState.QUEUED, "remote-1", 1)
    assert [connection_id for connection_id, _ in rejected] == [JOB.connection_id] * 3


async def test_a_submission_with_credentials_that_fail_is_told_of_its_connection(ledger: Ledger) -> None:
    await ledger.add(JOB)
    rejected: list[tuple[str, str]] = []
    job = await run(ledger, Renting(failures=[("before", Reason.CREDENTIALS_REJECTED)]), rejected)
    assert (job.reason, rejected) == (JobReason.AUTH_REVOKED, [(JOB.connection_id, "refused")])


async def test_a_job_that_was_never_sent_is_cancelled_although_its_connector_is_down(ledger: Ledger) -> None:
    class Down(Renting):
        async def describe(self) -> Description:
            raise ConnectorDown("the process does not run")

    await ledger.add(JOB)
    await ledger.change(JOB.id, lambda now: Step(replace(now, last_error="CONNECTOR_DOWN: the process does not run")))
    await ledger.change(JOB.id, lambda now: states.request_cancel(now, JobReason.CANCELLED_BY_USER, "no"))
    job = await run(ledger, Down())
    assert (job.state, job.last_error) == (JobState.CANCELLED, "")


async def test_what_is_wanted_of_one_job_hurries_no_other_that_waits(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitter, "RETRY_FIRST_SECONDS", 60.0)
    monkeypatch.setattr(submitter, "RETRY_CAP_SECONDS", 60.0)
    other = replace(JOB, id="job-2", submission_token="peft-2")
    await ledger.add(JOB)
    await ledger.add(other)
    platform = Renting(failures=[("before", Reason.RATE_LIMITED)] * 10)
    one = Submitter(ledger, OnePlatform(platform), Orders(NoShelf()), FakeClock())

    async def is_waiting(job_id: str) -> bool:
        return bool((await ledger.get(job_id)).last_error)

    async with asyncio.timeout(10):
        tasks = [asyncio.create_task(one.run(job_id)) for job_id in (JOB.id, other.id)]
        while not (await is_waiting(JOB.id) and await is_waiting(other.id)):  # noqa: ASYNC110 - one turn of the loop
            await asyncio.sleep(0)
        await ledger.change(other.id, lambda now: states.request_cancel(now, JobReason.CANCELLED_BY_USER, "no"))
        one.wake()
        assert (await tasks[1]).state is JobState.CANCELLED
        for _ in range(50):
            # As many turns and reads as another try would take.
            await ledger.events(JOB.id, 0, 10)
    assert platform.count("submit") == 2
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def begun(ledger: Ledger, platform: Renting) -> Submitter:
    """Store a job together with its first step, as it is where a platform knows a token again."""
    made = submitting(ledger, platform)
    await ledger.add(JOB, made.begun(JOB, await platform.describe()))
    return made


async def test_a_job_for_a_platform_that_knows_a_token_again_is_stored_as_called_and_called_once(
    ledger: Ledger,
) -> None:
    platform = Renting(safety=SubmitSafety.KEYED)
    made = await begun(ledger, platform)
    assert (await ledger.get(JOB.id)).resource_state is ResourceState.UNKNOWN
    job = await made.run(JOB.id, is_begun=True)
    assert (job.platform_job_id, job.revision, platform.made) == ("remote-1", 2, 1)
    assert await kinds(ledger) == ["submitted", "submit_started", "accepted"]


async def test_a_call_that_a_crash_kept_from_being_made_is_made_by_the_next_gateway(ledger: Ledger) -> None:
    platform = Renting(safety=SubmitSafety.KEYED)
    await begun(ledger, platform)
    job = await run(ledger, platform)
    assert (job.platform_job_id, platform.made) == ("remote-1", 1)
    assert await kinds(ledger) == ["submitted", "submit_started", twins.REPEATED, "accepted"]


async def test_a_job_that_is_cancelled_between_its_first_step_and_the_call_is_never_submitted(ledger: Ledger) -> None:
    platform = Renting(safety=SubmitSafety.KEYED)
    made = await begun(ledger, platform)
    await ledger.change(JOB.id, lambda now: states.request_cancel(now, JobReason.CANCELLED_BY_USER, "no"))
    job = await made.run(JOB.id, is_begun=True)
    assert (job.state, job.message, platform.count("submit")) == (
        JobState.CANCELLED,
        "cancelled before it was submitted",
        0,
    )


async def test_a_first_call_that_is_refused_or_never_sent_leaves_no_doubt(ledger: Ledger) -> None:
    failures = [("unsent", Reason.CONNECTOR_DOWN), ("before", Reason.INVALID_CONFIG)]
    platform = Renting(safety=SubmitSafety.KEYED, failures=failures)
    job = await (await begun(ledger, platform)).run(JOB.id, is_begun=True)
    assert (job.state, job.reason) == (JobState.FAILED, JobReason.CONFIG_REJECTED)
    assert (job.resource_state, platform.made) == (ResourceState.NONE, 0)


@pytest.mark.parametrize(
    "said",
    [
        Description(name="a", submit_safety=SubmitSafety.NONE),
        Description(name="a", submit_safety=SubmitSafety.FINDABLE),
        Description(name="a", submit_safety=SubmitSafety.KEYED, concurrent_jobs=2),
    ],
)
def test_where_a_call_that_was_not_made_would_be_in_doubt_or_is_not_due_it_is_noted_by_itself(
    ledger: Ledger, said: Description
) -> None:
    assert submitting(ledger, Renting()).begun(JOB, said) is None
