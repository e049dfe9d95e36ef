from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.artifacts.model import Artifact, ArtifactState
from gateway.artifacts.sanity import is_safe_path
from gateway.errors import GatewayError, NotFound, Reason
from gateway.jobs.model import JobState
from tests.unit.artifacts.conftest import JOB, Bench

pytestmark = pytest.mark.unit


async def fetch_all(bench: Bench, artifact_id: str) -> None:
    async for _ in (await bench.artifacts.fetch("job-1", artifact_id)).pieces:
        pass


async def states(bench: Bench) -> dict[str, ArtifactState]:
    return {artifact.id: artifact.state for artifact in await bench.artifacts.list("job-1")}


async def test_files_are_listed_by_path_with_pickles_flagged(bench: Bench) -> None:
    for path in ("b/model.pt", "a.safetensors", "b/Weights.BIN"):
        bench.platform.put(path, b"x")
    found = await bench.artifacts.list("job-1")
    assert [(artifact.path, artifact.unsafe) for artifact in found] == [
        ("a.safetensors", False),
        ("b/Weights.BIN", True),
        ("b/model.pt", True),
    ]


async def test_a_job_that_never_reached_its_platform_has_no_files(bench: Bench) -> None:
    bench.jobs["job-1"] = replace(JOB, platform_job_id="", state=JobState.FAILED)
    assert await bench.artifacts.list("job-1") == []
    assert bench.platform.calls == []


async def test_an_ended_jobs_files_are_remembered_when_the_platform_is_gone(bench: Bench) -> None:
    bench.platform.put("a.log", b"x")
    await bench.artifacts.list("job-1")
    bench.platforms.by_connection.clear()
    assert await states(bench) == {"a.log": ArtifactState.REMOTE}


async def test_a_running_jobs_files_are_not_made_up_when_the_platform_is_down(bench: Bench) -> None:
    bench.job_is(JobState.RUNNING)
    bench.platform.faults.is_down = True
    with pytest.raises(GatewayError):
        await bench.artifacts.list("job-1")


async def test_files_that_vanish_are_missing_unless_the_gateway_has_them(bench: Bench) -> None:
    bench.platform.put("kept.log", b"x")
    bench.platform.put("gone.log", b"y")
    await fetch_all(bench, "kept.log")
    bench.platform.files.clear()
    assert await states(bench) == {"gone.log": ArtifactState.MISSING, "kept.log": ArtifactState.VERIFIED}
    await fetch_all(bench, "kept.log")
    with pytest.raises(NotFound):
        await fetch_all(bench, "gone.log")


async def test_a_missing_file_that_comes_back_can_be_had_again(bench: Bench) -> None:
    bench.platform.put("a.log", b"x")
    await bench.artifacts.list("job-1")
    file = bench.platform.files.pop("a.log")
    assert await states(bench) == {"a.log": ArtifactState.MISSING}
    bench.platform.files["a.log"] = file
    await fetch_all(bench, "a.log")
    assert await states(bench) == {"a.log": ArtifactState.VERIFIED}


async def test_a_checkpoint_that_is_overwritten_is_remote_again(bench: Bench) -> None:
    bench.job_is(JobState.RUNNING)
    bench.platform.put("ckpt.log", b"one")
    await fetch_all(bench, "ckpt.log")
    assert await states(bench) == {"ckpt.log": ArtifactState.VERIFIED}
    bench.platform.put("ckpt.log", b"two")
    assert await states(bench) == {"ckpt.log": ArtifactState.REMOTE}


async def test_a_verified_file_whose_copy_was_deleted_is_remote_again(bench: Bench) -> None:
    artifact = bench.platform.put("a.log", b"x")
    await fetch_all(bench, "a.log")
    await bench.blobs.delete(artifact.sha256)
    assert await states(bench) == {"a.log": ArtifactState.REMOTE}
    await fetch_all(bench, "a.log")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a\\b", "", "a//b", "C:/x", "a/\x00b", "."])
async def test_paths_that_leave_their_folder_are_refused(bench: Bench, path: str) -> None:
    bench.platform.put("good.log", b"x")
    bench.platform.put("bad", b"x")
    bench.platform.tell(Artifact(id="bad", path=path))
    assert not is_safe_path(path)
    assert await states(bench) == {"good.log": ArtifactState.REMOTE}
    with pytest.raises(GatewayError) as caught:
        await bench.artifacts.fetch("job-1", "bad")
    assert caught.value.reason is Reason.BAD_UPSTREAM


async def test_two_files_of_one_path_would_overwrite_each_other(bench: Bench) -> None:
    bench.platform.put("a", b"x")
    bench.platform.put("b", b"y")
    bench.platform.tell(Artifact(id="b", path="a"))
    assert await states(bench) == {"a": ArtifactState.REMOTE}


async def test_a_checksum_that_is_none_is_not_believed(bench: Bench) -> None:
    artifact = bench.platform.put("a.log", b"x")
    bench.platform.tell(replace(artifact, sha256="../../etc/passwd"))
    await fetch_all(bench, "a.log")
    assert await states(bench) == {"a.log": ArtifactState.VERIFIED}


async def test_what_another_job_left_already_is_not_fetched_again(bench: Bench) -> None:
    bench.jobs["job-2"] = replace(JOB, id="job-2")
    bench.platform.put("a.log", b"x")
    await fetch_all(bench, "a.log")
    download = await bench.artifacts.fetch("job-2", "a.log")
    assert [piece.data async for piece in download.pieces] == [b"x"]
    assert download.artifact.state is ArtifactState.VERIFIED
    assert bench.platform.count("fetch") == 1


async def test_a_running_jobs_file_is_served_from_the_store_when_the_platform_is_down(bench: Bench) -> None:
    bench.job_is(JobState.RUNNING)
    bench.platform.put("a.log", b"x")
    bench.platform.put("b.log", b"y")
    await fetch_all(bench, "a.log")
    bench.platform.faults.is_down = True
    await fetch_all(bench, "a.log")
    with pytest.raises(GatewayError):
        await fetch_all(bench, "b.log")


async def test_a_file_that_tells_nothing_of_itself_is_kept_once_its_job_has_ended(bench: Bench) -> None:
    artifact = bench.platform.put("a.log", b"x")
    bench.platform.tell(replace(artifact, size=None, sha256="", etag=""))
    bench.job_is(JobState.RUNNING)
    await fetch_all(bench, "a.log")
    assert await states(bench) == {"a.log": ArtifactState.REMOTE}
    bench.job_is(JobState.SUCCEEDED)
    await fetch_all(bench, "a.log")
    assert await states(bench) == {"a.log": ArtifactState.VERIFIED}


async def test_lists_of_many_jobs_at_once_are_each_kept_as_they_are_one_by_one(bench: Bench) -> None:
    ended = [f"job-{number}" for number in range(1, 4)]
    for job_id in ended:
        bench.jobs[job_id] = replace(JOB, id=job_id)
    bench.platform.put("a.log", b"x")
    await fetch_all(bench, "a.log")
    bench.platform.put("b.log", b"y")
    lists = await asyncio.gather(*(bench.artifacts.list(job_id) for job_id in [*ended, *ended]))
    assert [[file.id for file in files] for files in lists] == [["a.log", "b.log"]] * 6
    assert await states(bench) == {"a.log": ArtifactState.VERIFIED, "b.log": ArtifactState.REMOTE}
    bench.platforms.by_connection.clear()
    for job_id, files in zip(ended, lists, strict=False):
        assert await bench.artifacts.list(job_id) == files
