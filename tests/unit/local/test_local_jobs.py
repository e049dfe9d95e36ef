from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from connector_sdk.models import JobObservation, JobStatus, SubmitRequest, TrainingConfig
from connectors.local.job_folder import JobFolder
from connectors.local.jobs import LocalJobs, UnknownJob
from connectors.local.process import child_environment

pytestmark = pytest.mark.process

STAND_IN = Path(__file__).parents[2] / "support" / "stand_in_trainer.py"
LIMIT_SECONDS = 20.0


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "jobs"
    yield root
    for path in root.glob("*/state.json"):  # whatever a failed test left running
        folder = JobFolder(path.parent)
        deadline = time.monotonic() + LIMIT_SECONDS
        while folder.is_alive() and time.monotonic() < deadline:
            run = folder.run()
            if run is not None:
                with suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)
            time.sleep(0.02)


def make_jobs(root: Path, *, max_concurrent: int = 4, grace_seconds: float = 10, gpu_count: int = 0) -> LocalJobs:
    return LocalJobs(
        root,
        command=(sys.executable, "-I", "-S", str(STAND_IN)),
        max_concurrent=max_concurrent,
        gpu_count=gpu_count,
        cancel_grace=timedelta(seconds=grace_seconds),
    )


def request(token: str = "t1", behaviour: str = "finish") -> SubmitRequest:
    config = TrainingConfig(base_model="m", dataset_path="d", options={"behaviour": behaviour})
    return SubmitRequest(job_id=f"job-{token}", submission_token=token, config=config)


def eventually(jobs: LocalJobs, job_id: str, is_reached: Callable[[JobObservation], bool]) -> JobObservation:
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        seen = jobs.observe(job_id)
        if is_reached(seen):
            return seen
        time.sleep(0.02)
    pytest.fail(f"not reached: {jobs.observe(job_id)!r}")


def until(jobs: LocalJobs, job_id: str, status: JobStatus) -> JobObservation:
    return eventually(jobs, job_id, lambda seen: seen.status is status)


def until_started(jobs: LocalJobs, job_id: str) -> int:
    """Wait until the stand-in works, and give its process id."""
    eventually(jobs, job_id, lambda seen: "started" in jobs.folder(job_id).stdout_log.read_text())
    return int(jobs.folder(job_id).stdout_log.read_text().splitlines()[-1].split()[1])


def test_a_job_runs_and_completes_with_its_logs_and_times(root: Path) -> None:
    jobs = make_jobs(root)
    seen = until(jobs, jobs.submit(request()), JobStatus.COMPLETED)
    assert (seen.reason, seen.exit_code, seen.attempt, seen.resource_held) == ("OK", 0, 1, False)
    assert seen.progress is not None
    assert seen.progress.total_steps == 9
    assert seen.started_at is not None
    assert seen.ended_at is not None
    assert seen.started_at <= seen.ended_at
    assert "resume=False attempt=1" in jobs.folder("t1").stdout_log.read_text()
    ended = jobs.folder("t1").exit()
    assert ended is not None
    assert ended.max_rss_bytes > 1_000_000


def test_the_same_token_gives_the_same_job_and_one_process(root: Path) -> None:
    jobs = make_jobs(root)
    assert {jobs.submit(request()), jobs.submit(request()), make_jobs(root).submit(request())} == {"t1"}
    until(jobs, "t1", JobStatus.COMPLETED)
    assert jobs.folder("t1").stdout_log.read_text().count("started") == 1


def test_submissions_at_the_same_time_start_one_process(root: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        job_ids = set(pool.map(lambda _: make_jobs(root).submit(request(behaviour="wait")), range(8)))
    assert job_ids == {"t1"}
    jobs = make_jobs(root)
    until_started(jobs, "t1")
    jobs.cancel("t1")
    until(jobs, "t1", JobStatus.CANCELLED)
    assert jobs.folder("t1").stdout_log.read_text().count("started") == 1


@pytest.mark.parametrize("token", ["../x", "", ".hidden", "a/b"])
def test_a_token_that_could_leave_the_root_is_refused(root: Path, token: str) -> None:
    with pytest.raises(ValueError, match="submission_token"):
        make_jobs(root).submit(request(token))
    with pytest.raises(UnknownJob):
        make_jobs(root).observe(token)


def test_a_paused_job_resumes_from_its_checkpoint_in_the_same_attempt(root: Path) -> None:
    jobs = make_jobs(root)
    job_id = jobs.submit(request(behaviour="wait"))
    until_started(jobs, job_id)
    jobs.pause(job_id)
    assert until(jobs, job_id, JobStatus.PAUSED).resource_held is False
    jobs.resume(job_id)
    assert until(jobs, job_id, JobStatus.COMPLETED).attempt == 1
    assert "resume=True attempt=1" in jobs.folder(job_id).stdout_log.read_text()


def test_a_job_resumed_while_it_pauses_starts_again_afterwards(root: Path) -> None:
    jobs = make_jobs(root)
    job_id = jobs.submit(request(behaviour="wait"))
    until_started(jobs, job_id)
    jobs.pause(job_id)
    jobs.resume(job_id)
    assert until(jobs, job_id, JobStatus.COMPLETED).attempt == 1


def test_a_cancelled_job_is_cancelled_when_its_process_is_gone(root: Path) -> None:
    jobs = make_jobs(root)
    job_id = jobs.submit(request(behaviour="wait"))
    pid = until_started(jobs, job_id)
    jobs.cancel(job_id)
    assert until(jobs, job_id, JobStatus.CANCELLED).reason == "CANCELLED_BY_USER"
    assert not psutil.pid_exists(pid)


def test_a_cancelled_job_that_does_not_end_is_killed_by_whoever_looks_next(root: Path) -> None:
    job_id = make_jobs(root).submit(request(behaviour="stubborn"))
    until_started(make_jobs(root), job_id)
    make_jobs(root).cancel(job_id)
    until(make_jobs(root, grace_seconds=0.2), job_id, JobStatus.CANCELLED)


def test_a_failure_keeps_its_exit_code_reason_and_message_and_a_retry_is_a_new_attempt(root: Path) -> None:
    jobs = make_jobs(root)
    job_id = jobs.submit(request(behaviour="refuse"))
    seen = until(jobs, job_id, JobStatus.FAILED)
    assert (seen.exit_code, seen.reason, seen.message) == (65, "USER_ERROR", "line 3: not valid JSON")
    jobs.resume(job_id)
    assert until(jobs, job_id, JobStatus.COMPLETED).attempt == 2


def test_status_zero_without_artifacts_is_a_failure(root: Path) -> None:
    jobs = make_jobs(root)
    assert "no artifacts" in until(jobs, jobs.submit(request(behaviour="empty")), JobStatus.FAILED).message


def test_a_killed_training_is_reported_with_its_signal(root: Path) -> None:
    jobs = make_jobs(root)
    job_id = jobs.submit(request(behaviour="wait"))
    os.kill(until_started(jobs, job_id), signal.SIGSEGV)
    assert "SIGSEGV" in until(jobs, job_id, JobStatus.FAILED).message


def test_a_job_whose_processes_all_vanished_has_failed_by_its_node(root: Path) -> None:
    jobs = make_jobs(root)
    job_id = jobs.submit(request(behaviour="wait"))
    until_started(jobs, job_id)
    run = jobs.folder(job_id).run()
    assert run is not None
    os.killpg(run.pid, signal.SIGKILL)
    seen = until(jobs, job_id, JobStatus.FAILED)
    assert (seen.reason, seen.message) == ("NODE_FAILED", "the training process disappeared without an exit status")


def test_a_training_that_outlives_its_shim_still_counts_as_running_and_then_as_completed(root: Path) -> None:
    jobs = make_jobs(root)
    job_id = jobs.submit(request(behaviour="wait"))
    pid = until_started(jobs, job_id)
    run = jobs.folder(job_id).run()
    assert run is not None
    os.kill(run.pid, signal.SIGKILL)
    eventually(jobs, job_id, lambda seen: not psutil.pid_exists(run.pid) or seen.status is not JobStatus.RUNNING)
    assert jobs.observe(job_id).status is JobStatus.RUNNING
    os.kill(pid, signal.SIGTERM)
    seen = until(jobs, job_id, JobStatus.FAILED)
    assert (seen.reason, seen.exit_code) == ("PREEMPTED", 75)


def test_jobs_wait_in_line_for_a_free_slot(root: Path) -> None:
    jobs = make_jobs(root, max_concurrent=1)
    first, second, third = (jobs.submit(request(token, "wait")) for token in ("a", "b", "c"))
    until_started(jobs, first)
    assert [jobs.observe(job_id).status for job_id in (first, second, third)] == ["running", "pending", "pending"]
    assert jobs.job_ids() == [first, second, third]
    jobs.cancel(second)
    assert jobs.observe(second).status is JobStatus.CANCELLED
    jobs.cancel(first)
    until(jobs, third, JobStatus.RUNNING)
    jobs.cancel(third)
    until(jobs, third, JobStatus.CANCELLED)


def test_each_running_job_gets_a_gpu_of_its_own(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    jobs = make_jobs(root, max_concurrent=2, gpu_count=2)
    pids = [until_started(jobs, jobs.submit(request(token, "wait"))) for token in ("a", "b")]
    assert [psutil.Process(pid).environ()["CUDA_VISIBLE_DEVICES"] for pid in pids] == ["4", "7"]


def test_a_connector_that_comes_back_finds_its_jobs_as_they_are(root: Path) -> None:
    job_id = make_jobs(root).submit(request(behaviour="wait"))
    later = make_jobs(root)
    until_started(later, job_id)
    later.pause(job_id)
    until(make_jobs(root), job_id, JobStatus.PAUSED)


def test_a_start_of_which_nothing_came_is_tried_again(root: Path) -> None:
    """As after a kill between the intent to start and the start."""
    jobs = make_jobs(root, max_concurrent=1)
    jobs.submit(request("blocker", "wait"))
    job_id = jobs.submit(request("t1"))
    folder = jobs.folder(job_id)
    folder.write_state(folder.state().model_copy(update={"runs": 1, "queued_at": None}))
    jobs.cancel("blocker")
    until(jobs, job_id, JobStatus.COMPLETED)
    assert folder.state().false_starts == 1


def test_a_submission_that_was_cut_short_leaves_no_job(root: Path) -> None:
    (root / ".new-cut").mkdir(parents=True)
    jobs = make_jobs(root)
    assert jobs.job_ids() == []
    jobs.submit(request())
    assert not (root / ".new-cut").exists()


def test_a_command_that_does_not_exist_is_a_failure_with_a_log_line(root: Path) -> None:
    jobs = LocalJobs(root, command=("/no/such/program",))
    seen = until(jobs, jobs.submit(request()), JobStatus.FAILED)
    assert seen.exit_code == 127
    assert "cannot start /no/such/program" in jobs.folder("t1").stderr_log.read_text()


def test_a_finished_job_can_be_neither_paused_nor_cancelled(root: Path) -> None:
    jobs = make_jobs(root)
    job_id = jobs.submit(request())
    until(jobs, job_id, JobStatus.COMPLETED)
    jobs.pause(job_id)
    jobs.cancel(job_id)
    jobs.resume(job_id)
    assert jobs.observe(job_id).status is JobStatus.COMPLETED


def test_a_training_gets_no_secrets_from_the_environment() -> None:
    given = {"PATH": "/bin", "HF_HOME": "/h", "HF_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "x", "LC_ALL": "C"}
    assert child_environment(given) == {"PATH": "/bin", "HF_HOME": "/h", "LC_ALL": "C"}


def test_the_spec_on_disk_is_what_was_submitted(root: Path) -> None:
    jobs = make_jobs(root)
    jobs.submit(request())
    spec = json.loads((root / "t1" / "spec.json").read_text())
    assert (spec["job_id"], spec["config"]["base_model"]) == ("job-t1", "m")
