"""Many calls at a time."""

from __future__ import annotations

import asyncio

from connector_sdk.conformance.check import check, expect
from connector_sdk.conformance.trial import Trial
from connector_sdk.conformance.work import ended, look, running
from peftstudio.connector.v1 import connector_service_pb2 as pb

MANY = 64
STREAM_SECONDS = 15.0
SOON_SECONDS = 5.0


@check("parallel.calls", remedy="Serve calls side by side; a pool of threads needs more than 64.")
async def calls(trial: Trial) -> None:
    """64 calls at a time are answered."""
    wire = await trial.wire()
    await asyncio.gather(*(wire.ask(pb.DescribeRequest(), pb.DescribeResponse) for _ in range(MANY)))


@check("parallel.looks", remedy="Share one session with the platform, and let it have many calls under way.")
async def looks(trial: Trial) -> None:
    """64 looks at a job at a time say the same."""
    job, wire = await ended(trial), await trial.wire()
    seen = await asyncio.gather(*(look(wire, job) for _ in range(MANY)))
    expect(len({one.state for one in seen}) == 1, "they tell of different states")


@check(
    "parallel.streams", remedy="Give each stream a position of its own; nothing of a stream belongs to the connection."
)
async def streams(trial: Trial) -> None:
    """64 readers of one log at a time get the same lines, all of them."""
    job, wire = await ended(trial), await trial.wire()
    read = await asyncio.gather(
        *(wire.read(job.log(), pb.StreamLogsResponse, seconds=STREAM_SECONDS) for _ in range(MANY))
    )
    texts = {tuple(line.text for batch in batches for line in batch.lines) for batches in read}
    expect(len(texts) == 1, f"there are {len(texts)} different logs")
    expect(all(batches and batches[-1].end for batches in read), "a stream closed without `end`")


@check("parallel.open", remedy="Streams that wait may not use up what serves other calls, such as a pool of threads.")
async def open_streams(trial: Trial) -> None:
    """While 64 logs of a running job are open, other calls are answered."""
    job, wire = await running(trial), await trial.wire()
    calls = [wire.start(job.log(), seconds=STREAM_SECONDS) for _ in range(MANY)]
    try:
        await look(wire, job)
        await wire.ask(pb.DescribeRequest(), pb.DescribeResponse, seconds=SOON_SECONDS)
    finally:
        for call in calls:
            call.cancel()
