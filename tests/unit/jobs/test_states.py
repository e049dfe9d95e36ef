"""The rules of the job state machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import WrongState
from gateway.jobs import states
from gateway.jobs.model import TERMINAL, Job, JobConfig, JobReason, JobState, Observation, Progress, ResourceState
from gateway.jobs.states import Step

pytestmark = pytest.mark.unit

START = datetime(2026, 1, 1, tzinfo=UTC)

JOB = Job(
    id="job-1",
    connection_id="conn-1",
    connector_id="local",
    config=JobConfig(base_model="m", dataset_uri="d", algorithm="lora", document="{}"),
    submission_token="peft-1",
    created_at=START,
    updated_at=START,
)

observations = st.builds(
    Observation,
    state=st.sampled_from([None, *JobState]),
    reason=st.sampled_from(JobReason),
    attempt=st.integers(1, 3),
    exit_code=st.sampled_from([None, 0, 1, 137]),
    resource_state=st.sampled_from(ResourceState),
)

requests = st.sampled_from(["cancel", "pause", "resume"])


def apply(job: Job, action: Observation | str, now: datetime) -> Step:
    if isinstance(action, Observation):
        return states.observe(job, action, now)
    if action == "cancel":
        return states.request_cancel(job, JobReason.CANCELLED_BY_USER, "cancel was requested")
    try:
        return states.request_pause(job) if action == "pause" else states.request_resume(job)
    except WrongState:
        return Step(job)


@given(st.lists(observations | requests, max_size=30))
def test_a_terminal_state_is_never_left_whatever_is_reported_or_asked(actions: list[Observation | str]) -> None:
    job, ended = JOB, None
    for number, action in enumerate(actions):
        job = apply(job, action, START + timedelta(seconds=number)).job
        if ended is not None:
            assert job == ended
        if job.state in TERMINAL:
            ended = job


@given(st.lists(observations | requests, max_size=30))
def test_every_change_of_state_is_legal_and_comes_with_an_event(actions: list[Observation | str]) -> None:
    job = JOB
    for action in actions:
        step = apply(job, action, START)
        if step.job.state is not job.state:
            assert step.kind
            assert step.message
            asked = {JobState.CANCELLING, JobState.PAUSING, JobState.RESUMING}
            is_new_attempt = step.job.attempt > job.attempt
            assert step.job.state in asked or states.is_legal(job.state, step.job.state, is_new_attempt=is_new_attempt)
        job = step.job


@given(st.lists(observations | requests, max_size=30))
def test_attempts_only_grow_and_an_ended_job_has_a_time_of_its_end(actions: list[Observation | str]) -> None:
    job = JOB
    for action in actions:
        after = apply(job, action, START).job
        assert after.attempt >= job.attempt
        assert (after.ended_at is not None) == after.state.is_terminal
        job = after


@given(observations)
def test_a_wanted_cancel_ends_only_by_an_end_that_the_platform_reports(seen: Observation) -> None:
    job = states.request_cancel(JOB, JobReason.CANCELLED_BY_USER, "cancel was requested").job
    after = states.observe(job, seen, START).job
    assert after.state is JobState.CANCELLING or after.state.is_terminal


def test_success_with_a_nonzero_exit_code_is_a_failure() -> None:
    running = replace(JOB, state=JobState.RUNNING)
    after = states.observe(running, Observation(state=JobState.SUCCEEDED, exit_code=3), START).job
    assert (after.state, after.reason) == (JobState.FAILED, JobReason.EXIT_NONZERO)
    assert "exit code 3" in after.message


def test_an_exit_code_that_an_earlier_look_told_decides_too_and_that_of_an_earlier_attempt_does_not() -> None:
    running = replace(JOB, state=JobState.RUNNING)
    ended = states.observe(running, Observation(state=JobState.RUNNING, exit_code=3), START).job
    after = states.observe(ended, Observation(state=JobState.SUCCEEDED), START).job
    assert (after.state, after.reason, after.exit_code) == (JobState.FAILED, JobReason.EXIT_NONZERO, 3)
    again = states.observe(ended, Observation(state=JobState.RUNNING, attempt=2), START).job
    assert (
        states.observe(again, Observation(state=JobState.SUCCEEDED, attempt=2), START).job.state is JobState.SUCCEEDED
    )


@given(st.lists(observations | requests, max_size=30))
def test_no_job_that_told_a_nonzero_exit_code_in_its_last_attempt_is_a_success(
    actions: list[Observation | str],
) -> None:
    job, told = JOB, 0
    for action in actions:
        step = apply(job, action, START)
        after = step.job
        if isinstance(action, Observation) and step.kind != "report_ignored" and not job.state.is_terminal:
            told = 0 if action.attempt > job.attempt else told
            told = told if action.exit_code is None else action.exit_code
        assert not (after.state is JobState.SUCCEEDED and told)
        job = after


def test_a_late_report_of_an_earlier_state_changes_nothing_and_is_recorded() -> None:
    running = replace(JOB, state=JobState.RUNNING)
    step = states.observe(running, Observation(state=JobState.QUEUED), START)
    assert step.job.state is JobState.RUNNING
    assert step.kind == "report_ignored"


@given(st.lists(observations | requests, max_size=20), observations)
def test_a_report_that_is_ignored_changes_nothing_but_the_time_of_the_look(
    actions: list[Observation | str], seen: Observation
) -> None:
    job = JOB
    for action in actions:
        job = apply(job, action, START).job
    step = states.observe(job, seen, START + timedelta(days=1))
    if step.kind == "report_ignored":
        assert replace(step.job, observed_at=job.observed_at, last_error=job.last_error) == job


def test_what_a_job_that_is_being_cancelled_still_does_is_seen() -> None:
    cancelling = states.request_cancel(JOB, JobReason.CANCELLED_BY_USER, "no").job
    step = states.observe(cancelling, Observation(state=JobState.RUNNING, raw_state="BUSY", exit_code=3), START)
    assert (step.job.state, step.job.message, step.kind) == (JobState.CANCELLING, "no", "")
    assert (step.job.raw_state, step.job.exit_code) == ("BUSY", 3)
    assert step.job.resource_state is ResourceState.HELD


@given(st.lists(observations | requests, max_size=20), observations)
def test_the_end_of_a_job_is_told_once_its_platform_reported_it_and_holds_nothing_from_then_on(
    actions: list[Observation | str], seen: Observation
) -> None:
    job = JOB
    for action in actions:
        job = apply(job, action, START).job
    after = states.over(job, replace(seen, state=JobState.FAILED), START).job
    assert after.state.is_terminal == job.state.is_terminal
    if seen.resource_state is ResourceState.UNSPECIFIED and not job.state.is_terminal:
        assert after.resource_state is not ResourceState.HELD


def test_a_new_attempt_leads_back_through_recovering() -> None:
    running = replace(JOB, state=JobState.RUNNING)
    step = states.observe(running, Observation(state=JobState.QUEUED, attempt=2), START)
    assert (step.job.state, step.job.attempt) == (JobState.RECOVERING, 2)
    assert states.observe(step.job, Observation(state=JobState.RUNNING, attempt=2), START).job.state is JobState.RUNNING


def test_a_job_that_was_restarted_before_anybody_saw_its_first_attempt_is_still_seen_running() -> None:
    queued = replace(JOB, state=JobState.QUEUED)
    after = states.observe(queued, Observation(state=JobState.RUNNING, attempt=2), START).job
    assert (after.state, after.attempt) == (JobState.RUNNING, 2)


def test_a_state_that_is_not_known_here_changes_nothing_but_what_it_tells() -> None:
    running = replace(JOB, state=JobState.RUNNING)
    after = states.observe(running, Observation(state=None, raw_state="WARP", progress=Progress(step=3)), START).job
    assert after.state is JobState.RUNNING
    assert (after.raw_state, after.progress) == ("WARP", Progress(step=3))


def test_a_job_that_passed_its_budget_ends_with_that_reason() -> None:
    job = states.request_cancel(replace(JOB, state=JobState.RUNNING), JobReason.BUDGET_EXCEEDED, "too dear").job
    after = states.observe(job, Observation(state=JobState.CANCELLED), START).job
    assert (after.state, after.reason) == (JobState.CANCELLED, JobReason.BUDGET_EXCEEDED)


def test_a_paused_job_goes_on_only_when_asked_or_seen_running() -> None:
    pausing = states.request_pause(replace(JOB, state=JobState.RUNNING, platform_job_id="remote-1")).job
    assert states.observe(pausing, Observation(state=JobState.RUNNING), START).job.state is JobState.PAUSING
    paused = states.observe(pausing, Observation(state=JobState.PAUSED), START).job
    assert paused.state is JobState.PAUSED
    resuming = states.request_resume(paused).job
    assert states.observe(resuming, Observation(state=JobState.PAUSED), START).job.state is JobState.RESUMING
    assert states.observe(resuming, Observation(state=JobState.RUNNING), START).job.state is JobState.RUNNING


@pytest.mark.parametrize("state", [JobState.PAUSED, *sorted(TERMINAL)])
def test_pausing_what_does_not_run_says_why_not(state: JobState) -> None:
    if state is JobState.PAUSED:
        assert states.request_pause(replace(JOB, state=state)).job.state is JobState.PAUSED
        return
    with pytest.raises(WrongState, match=state.lower()):
        states.request_pause(replace(JOB, state=state))


def test_a_refused_pause_leaves_a_job_that_still_waits_waiting() -> None:
    waiting = replace(JOB, state=JobState.QUEUED, platform_job_id="remote-1")
    refused = states.refuse_wish(states.request_pause(waiting).job, "no")
    assert refused.job.state is JobState.QUEUED
    training = replace(waiting, state=JobState.RUNNING, started_at=START)
    assert states.refuse_wish(states.request_pause(training).job, "no").job.state is JobState.RUNNING
