"""The end of a connector: by Shutdown, by signal, and because its gateway is gone."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import suppress

import grpc

from connector_sdk.conformance import health, system
from connector_sdk.conformance.check import FailedCheck, SkippedCheck, advise, check, expect
from connector_sdk.conformance.process import Process
from connector_sdk.conformance.trial import Trial
from connector_sdk.conformance.wire import opened
from connector_sdk.conformance.work import cancel_all, running
from peftstudio.connector.v1 import connector_service_pb2 as pb

GRACE_SECONDS = 2.0
MARGIN_SECONDS = 5.0  # for connections to be closed, on a busy machine
TERM_SECONDS = 5.0  # the protocol's
LIFELINE_SECONDS = 1.0  # the protocol's
BUSY_SECONDS = 3.0  # how much later a busy machine may notice


@check(
    "ending.terminated",
    remedy="Treat SIGTERM as Shutdown with a grace of 5 s, also while the main loop is busy.",
    seconds=45.0,
)
async def terminated(trial: Trial) -> None:
    """SIGTERM ends the process within 5 s, with code 0."""
    async with trial.ready() as (process, _):
        process.signal(signal.SIGTERM)
        await _expect_end(process, TERM_SECONDS + BUSY_SECONDS)
        expect(process.exit_code == 0, f"the exit code is {process.exit_code}")


@check("ending.lifeline", remedy="Read stdin in a thread of its own, and exit when it ends.", seconds=40.0)
async def lifeline(trial: Trial) -> None:
    """When its gateway is gone, which ends stdin, the process ends within a second."""
    async with trial.ready() as (process, _):
        process.cut_lifeline()
        await _expect_end(process, LIFELINE_SECONDS + BUSY_SECONDS)


@check(
    "ending.lifeline_busy",
    remedy="Do not wait for calls under way when stdin ends: nobody waits for their answers.",
    seconds=45.0,
)
async def lifeline_busy(trial: Trial) -> None:
    """When its gateway is gone, the process ends within a second although streams are open."""
    job = await running(trial)
    async with trial.connected(job.connection) as (process, wire), opened(wire, job.log()), opened(wire, job.log()):
        await wire.ask(pb.DescribeRequest(), pb.DescribeResponse)
        process.cut_lifeline()
        await _expect_end(process, LIFELINE_SECONDS + BUSY_SECONDS)


@check(
    "ending.drained",
    remedy="Close open streams without `end` when Shutdown comes, and exit within the grace.",
    seconds=45.0,
)
async def drained(trial: Trial) -> None:
    """Shutdown ends the process within its grace although streams are open."""
    job = await running(trial)
    async with trial.connected(job.connection) as (process, wire), opened(wire, job.log()) as call:
        await wire.ask(pb.DescribeRequest(), pb.DescribeResponse)
        await wire.ask(_shutdown(), pb.ShutdownResponse)
        with suppress(grpc.aio.AioRpcError):
            await _expect_cut(call)
        await _expect_end(process, GRACE_SECONDS + MARGIN_SECONDS)


@check("ending.health", remedy="Answer NOT_SERVING from the moment on at which Shutdown comes, and end each Watch.")
async def said(trial: Trial) -> None:
    """A Watch is told NOT_SERVING when Shutdown comes, and ends."""
    async with trial.ready() as (process, wire):
        call = health.watch(wire.channel, seconds=GRACE_SECONDS + MARGIN_SECONDS)
        statuses: list[int] = []
        with suppress(grpc.aio.AioRpcError):
            async for answer in call:
                statuses.append(answer.status)
                if len(statuses) == 1:
                    await wire.ask(_shutdown(), pb.ShutdownResponse)
        expect(bool(statuses), "Watch said nothing")
        advise(statuses[-1] == health.NOT_SERVING, f"it ended behind {statuses}")
        await _expect_end(process, GRACE_SECONDS + MARGIN_SECONDS)


@check("ending.jobs", remedy="Declare cancel_job, so that no machine stays rented.", seconds=40.0)
async def jobs(trial: Trial) -> None:
    """Every job of this run has ended, or could be cancelled."""
    if not trial.jobs:
        raise SkippedCheck("nothing was submitted")
    if "cancel_job" not in (await trial.description()).capabilities:
        raise SkippedCheck(f"it declares no cancel_job: see that {', '.join(trial.jobs)} ends")
    await cancel_all(trial)


@check("ending.shutdown", remedy="Answer Shutdown, refuse new calls, finish those under way, and exit.")
async def shutdown(trial: Trial) -> None:
    """Shutdown is answered, and ends the process within its grace."""
    process = await trial.process()
    await (await trial.wire()).ask(_shutdown(), pb.ShutdownResponse)
    await _expect_end(process, GRACE_SECONDS + MARGIN_SECONDS)


@check("ending.code", remedy="Exit with 0 when you were asked to end.")
async def code(trial: Trial) -> None:
    """Behind Shutdown, the exit code is 0."""
    process = _ended(trial)
    expect(process.exit_code == 0, f"it is {process.exit_code}")


@check(
    "ending.nothing_left", remedy="End your children with yourself; a job on this machine gets a session of its own."
)
async def nothing_left(trial: Trial) -> None:
    """Behind the end, no process of the connector's session is left."""
    left = system.session(_ended(trial).pid)
    expect(not left, f"process {', '.join(map(str, left))} is left")


@check("ending.socket_gone", remedy="Remove the sockets at the end.")
async def socket_gone(trial: Trial) -> None:
    """Behind the end, nobody listens at the socket."""
    process = _ended(trial)
    async with trial.wire_to(process) as wire:
        refusal = await wire.quiet().refusal(pb.DescribeRequest(), seconds=1.0)
    expect(refusal is not None, "it still answers")


def _shutdown() -> pb.ShutdownRequest:
    request = pb.ShutdownRequest()
    request.grace.FromMilliseconds(int(GRACE_SECONDS * 1000))
    return request


def _ended(trial: Trial) -> Process:
    process = trial.launched
    if process is None or process.exit_code is None:
        raise SkippedCheck("it has not ended")
    return process


async def _expect_cut(call: object) -> None:
    assert isinstance(call, grpc.aio.UnaryStreamCall)
    async with asyncio.timeout(GRACE_SECONDS + MARGIN_SECONDS):
        async for batch in call:
            if batch.end:
                raise FailedCheck("the log of a running job says `end`, as if it were complete")


async def _expect_end(process: Process, seconds: float) -> None:
    started = time.monotonic()
    expect(await process.ends(seconds), f"it still runs after {time.monotonic() - started:.1f} s")
