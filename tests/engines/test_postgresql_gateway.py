"""A gateway on a PostgreSQL ledger: killed, cut off from it, and beside another one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import grpc
import psutil
import pytest

from peftstudio.gateway.v1 import jobs_service_pb2
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from tests.process.gateway.conftest import ended, eventually, expected, follow, laboratory, notes, submit, wish
from tests.process.gateway.test_hardships import refused
from tests.support.gateway_process import PEFTSTUDIO, GatewayProcess, Stubs, gateway_process
from tests.support.postgresql import LOCKED_USER, USER, PostgreSQLServer
from tests.support.signals import send

pytestmark = [pytest.mark.engines, pytest.mark.process]

FAILED = 1
HOLDERS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"


async def test_a_killed_gateway_finds_its_job_again_with_its_log(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        job_id = await submit(stubs, lines=2000, pace=1000)

        async def is_read() -> bool:
            return len(await _read_so_far(stubs, job_id)) > 200

        await eventually(is_read)
        await gateway.kill()
    await gateway.start()
    async with gateway.connected() as stubs:
        assert await follow(stubs, job_id) == expected(2000)
        assert (await ended(stubs, job_id)).state == JOB_STATE_SUCCEEDED
    assert len(notes(gateway, "submitted")) == 1
    assert not (gateway.data_dir / "ledger.db").exists()


async def test_a_server_that_restarts_under_load_costs_no_job_and_no_line(
    gateway: GatewayProcess, own_server: PostgreSQLServer
) -> None:
    wishes = [f"wish-{number}" for number in range(8)]
    answered: dict[str, str] = {}
    refusals: set[grpc.StatusCode] = set()

    async def ask(stubs: Stubs, request_id: str) -> None:
        """Submit as a client does that asks again until it is answered."""
        request = wish(request_id, options={"lines": 300, "pace": 100})
        async with asyncio.timeout(60):
            while request_id not in answered:
                try:
                    answered[request_id] = (await stubs.jobs.SubmitJob(request, timeout=30)).job.id
                except grpc.aio.AioRpcError as error:
                    refusals.add(error.code())
                    await asyncio.sleep(0.1)

    async with laboratory(gateway) as stubs:
        asking = [asyncio.create_task(ask(stubs, request_id)) for request_id in wishes[:4]]

        async def are_some_answered() -> bool:
            return bool(answered)

        await eventually(are_some_answered)
        await asyncio.to_thread(own_server.stop)
        asking += [asyncio.create_task(ask(stubs, request_id)) for request_id in wishes[4:]]
        reason = await refused(stubs.jobs.ListJobs(jobs_service_pb2.ListJobsRequest(), timeout=30))
        assert reason == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        await asyncio.to_thread(own_server.start)
        await asyncio.gather(*asking)
        for job_id in answered.values():
            assert await follow(stubs, job_id) == expected(300)
            assert (await ended(stubs, job_id)).state == JOB_STATE_SUCCEEDED
    assert refusals == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert len(set(answered.values())) == len(wishes)
    assert len(notes(gateway, "submitted")) == len(wishes)
    said = gateway.log_path.read_text()
    assert "GATEWAY_BUG" not in said
    assert "Traceback" not in said


async def test_a_second_gateway_on_the_same_ledger_is_refused_in_one_line(
    gateway: GatewayProcess, ledger_url: str, tmp_path: Path
) -> None:
    code, said = await _serve(tmp_path / "other", "--ledger", ledger_url)
    assert code == FAILED
    assert "another gateway has the PostgreSQL ledger" in said
    assert len([line for line in said.splitlines() if line.startswith("peftstudio:")]) == 1
    async with gateway.connected() as stubs:
        await stubs.jobs.ListJobs(jobs_service_pb2.ListJobsRequest(), timeout=10)


async def test_a_gateway_whose_hold_of_the_ledger_is_cut_takes_it_again(
    gateway: GatewayProcess, own_server: PostgreSQLServer
) -> None:
    async with laboratory(gateway) as stubs:
        (holder,) = own_server.sql(HOLDERS).split()
        own_server.sql(f"SELECT pg_terminate_backend({holder})")

        async def is_held_again() -> bool:
            return own_server.sql(HOLDERS) not in ("", holder)

        await eventually(is_held_again)
        assert (await ended(stubs, await submit(stubs, lines=1))).state == JOB_STATE_SUCCEEDED


async def test_a_gateway_ends_with_one_clear_line_when_another_one_took_its_ledger_meanwhile(
    gateway: GatewayProcess, own_server: PostgreSQLServer, ledger_url: str, tmp_path: Path
) -> None:
    process = gateway.process
    assert process is not None
    gateway_pid = gateway.pid
    send(gateway_pid, signal.SIGSTOP)
    # What a machine does that sleeps: the server gives its ledger to the next one that asks.
    own_server.sql(f"SELECT pg_terminate_backend(pid) FROM ({HOLDERS}) AS held")
    async with gateway_process(tmp_path / "other", "--ledger", ledger_url):
        send(gateway_pid, signal.SIGCONT)
        assert await asyncio.to_thread(process.wait, 60) == FAILED
    last = gateway.log_path.read_text().splitlines()[-1]
    assert last.startswith("peftstudio: another gateway")


async def test_a_server_that_is_not_there_and_a_wrong_url_are_said_without_the_password(tmp_path: Path) -> None:
    secret = "canary/5d1e"
    for url, words in {
        f"postgresql://me:{secret}@127.0.0.1:1/ledger": "must look like postgresql://USER@HOST/DATABASE",
        "postgresql://me:canary%2F5d1e@127.0.0.1:1/ledger": "cannot be used at present",
        f"mysql://me:{secret}@127.0.0.1/ledger": "must look like",
        "postgresql://me:canary%2F5d1e@127.0.0.1:1/ledger?sslmode=canary": "has settings that cannot be used",
    }.items():
        code, said = await _serve(tmp_path / "data", ledger=url)
        assert code == FAILED, said
        assert words in said
        assert "canary" not in said
    code, said = await _serve(tmp_path / "data", "--ledger", "postgresql://me:canary@127.0.0.1:1/ledger")
    assert code == FAILED
    assert "PGPASSFILE" in said
    assert "canary" not in said


async def test_a_password_of_the_ledger_is_in_no_child_and_no_file(
    own_server: PostgreSQLServer, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEFTSTUDIO_LEDGER", ledger_url.replace("@", ":canary-81c4@"))
    async with gateway_process(tmp_path / "data") as gateway, laboratory(gateway) as stubs:
        await ended(stubs, await submit(stubs, lines=1))
        # The operator's own environment aside, in which it was given.
        for child in psutil.Process(gateway.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                assert "canary-81c4" not in str(child.environ()) + str(child.cmdline())
    for path in [*(tmp_path / "data").rglob("*"), gateway.log_path]:
        assert not path.is_file() or b"canary-81c4" not in path.read_bytes(), path


async def test_a_password_comes_from_a_file_and_a_wrong_one_is_refused_without_being_repeated(
    own_server: PostgreSQLServer, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_server.sql(f"CREATE ROLE {LOCKED_USER} LOGIN SUPERUSER PASSWORD 'canary-5a77'")
    url = ledger_url.replace(f"{USER}@", f"{LOCKED_USER}@")
    code, said = await _serve(tmp_path / "data", ledger=url.replace("@", ":canary-wrong@"))
    assert code == FAILED
    assert "password authentication failed" in said
    assert "canary" not in said
    (tmp_path / "passwords").write_text(f"*:*:*:{LOCKED_USER}:canary-5a77\n")
    (tmp_path / "passwords").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "passwords"))
    async with gateway_process(tmp_path / "data", "--ledger", url) as gateway, gateway.connected() as stubs:
        await stubs.jobs.ListJobs(jobs_service_pb2.ListJobsRequest(), timeout=10)


async def _read_so_far(stubs: Stubs, job_id: str) -> list[int]:
    seqs: list[int] = []
    async for message in stubs.jobs.StreamLogs(jobs_service_pb2.StreamLogsRequest(job_id=job_id), timeout=30):
        seqs += [line.seq for line in message.lines]
    return seqs


async def _serve(data_dir: Path, *arguments: str, ledger: str = "") -> tuple[int, str]:
    """Start a gateway that cannot start, and return its exit code and what it says."""
    done = await asyncio.to_thread(
        subprocess.run,
        [str(PEFTSTUDIO), "serve", "--port", "0", "--data-dir", str(data_dir), *arguments],
        env={**os.environ, "PEFTSTUDIO_LEDGER": ledger},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr
