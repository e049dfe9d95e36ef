"""Deadlines and cancelled calls."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import grpc

from connector_sdk.conformance import system
from connector_sdk.conformance.check import FailedCheck, advise, check, expect
from connector_sdk.conformance.trial import Trial
from connector_sdk.conformance.wire import Wire, opened
from connector_sdk.conformance.work import Job, ended, running
from peftstudio.connector.v1 import connector_service_pb2 as pb

MANY = 64
FEW = 4
QUIET_SECONDS = 0.2  # a stream without a message for so long waits for its platform
SHORT_SECONDS = 0.001
SOON_SECONDS = 5.0
GRACE_SECONDS = 12.0
LEFT_SECONDS = 6.0  # within the grace by far: nothing is under way any more


@check("deadlines.short", remedy="Let gRPC end calls whose deadline has passed, and keep nothing of them.")
async def short(trial: Trial) -> None:
    """64 calls whose deadline passes at once leave the connector serving."""
    wire = await trial.wire()
    calls = [wire.quiet().refusal(pb.DescribeRequest(), seconds=SHORT_SECONDS) for _ in range(MANY)]
    await asyncio.gather(*calls)
    await wire.ask(pb.DescribeRequest(), pb.DescribeResponse, seconds=SOON_SECONDS)


@check("deadlines.stream", remedy="End a stream when its deadline passes; gRPC tells its handler.")
async def stream(trial: Trial) -> None:
    """The log of a running job ends when its reader's deadline passes, and the connector serves on."""
    job, wire = await running(trial), await trial.wire()
    _, refusal = await wire.quiet().attempt(job.log(), pb.StreamLogsResponse, seconds=0.3)
    expect(refusal is not None, "the log ended, although the job runs")
    assert refusal
    expect(refusal.code is grpc.StatusCode.DEADLINE_EXCEEDED, str(refusal))
    await wire.ask(pb.DescribeRequest(), pb.DescribeResponse, seconds=SOON_SECONDS)


@check("cancellation.calls", remedy="Treat a cancelled call as an end that was wished, not as an error.")
async def calls(trial: Trial) -> None:
    """64 calls that are cancelled leave the connector serving."""
    wire = await trial.wire()
    for _ in range(MANY):
        async with opened(wire, pb.DescribeRequest()):
            await asyncio.sleep(0)
    await wire.ask(pb.DescribeRequest(), pb.DescribeResponse, seconds=SOON_SECONDS)


@check("cancellation.reads", remedy="Stop reading from the platform when the caller is gone, and free what was opened.")
async def reads(trial: Trial) -> None:
    """64 logs whose readers go away behind the first message leave the connector serving, with that log whole."""
    job, wire = await ended(trial), await trial.wire()
    await asyncio.gather(*(wire.read(job.log(), pb.StreamLogsResponse, most=1) for _ in range(MANY)))
    batches = await wire.read(job.log(), pb.StreamLogsResponse)
    expect(bool(batches) and batches[-1].end, "the log has no end any more")


@check(
    "cancellation.stops",
    remedy="End the handler when its call is cancelled: let CancelledError pass, watch the context.",
    seconds=40.0,
)
async def stops(trial: Trial) -> None:
    """A stream that is cancelled ends at the connector: nothing of it holds up the end of the process."""
    job = await running(trial)
    async with trial.connected(job.connection) as (process, wire):
        await _leave(wire, job, FEW)
        request = pb.ShutdownRequest()
        request.grace.FromMilliseconds(int(GRACE_SECONDS * 1000))
        await wire.ask(request, pb.ShutdownResponse)
        has_ended = await process.ends(LEFT_SECONDS)
        expect(has_ended, f"{LEFT_SECONDS:g} s behind Shutdown it still runs, with cancelled streams and nothing else")


@check(
    "cancellation.frees", remedy="Close what a stream has opened at the platform when its reader is gone.", seconds=30.0
)
async def frees(trial: Trial) -> None:
    """Behind streams that are cancelled, the process does not keep a file or a connection open for each."""
    process, job, wire = await trial.process(), await running(trial), await trial.wire()
    await _leave(wire, job, 1)
    before = system.open_files(process.pid)
    for _ in range(2):  # a pool of connections grows with the first round alone, what is kept for each stream with both
        await _leave(wire, job, MANY)
    most = before + MANY + MANY // 2
    deadline = time.monotonic() + SOON_SECONDS
    while (after := system.open_files(process.pid)) > most and time.monotonic() < deadline:  # noqa: ASYNC110 - polled
        await asyncio.sleep(0.05)
    advise(after <= most, f"it had {before} open files, and has {after} behind {2 * MANY} streams")


@check("cancellation.unread", remedy="Use bounded buffers, and wait for the reader without blocking others.")
async def unread(trial: Trial) -> None:
    """Streams that nobody reads hold up no other call."""
    job, wire = await ended(trial), await trial.wire()
    calls = [wire.start(job.log()) for _ in range(MANY)]
    try:
        await asyncio.sleep(0)
        answer, refusal = await wire.attempt(pb.DescribeRequest(), pb.DescribeResponse, seconds=SOON_SECONDS)
        if refusal is not None:
            raise FailedCheck(str(refusal))
        advise(bool(answer), "there is no answer")
    finally:
        for call in calls:
            call.cancel()


async def _leave(wire: Wire, job: Job, count: int) -> None:
    """Open so many streams of a running job, and cancel them."""
    await asyncio.gather(*(_leave_one(wire, job) for _ in range(count)))


async def _leave_one(wire: Wire, job: Job) -> None:
    """Open a stream, and cancel it once its handler runs and waits for the platform."""
    async with opened(wire, job.log()) as call:
        assert isinstance(call, grpc.aio.UnaryStreamCall)
        with suppress(TimeoutError, grpc.aio.AioRpcError):
            async with asyncio.timeout(SOON_SECONDS):
                await call.initial_metadata()
            for _ in range(MANY):
                async with asyncio.timeout(QUIET_SECONDS):
                    await call.read()
