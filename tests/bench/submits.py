"""Submissions: durable ones, as many as come, beside a service that keeps nothing, and the least that keeps them.

All are given the same training by as many clients in one process, each of which sends its next one when the last was
answered. The gateway and the floor answer once a job is kept, and are measured until the platform has taken all.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.json_format import ParseDict
from grpc import aio

from gateway.cli.serve import GRPC_ENVIRONMENT
from peftstudio.gateway.v1 import jobs_service_pb2 as pb
from peftstudio.job.v1 import job_state_pb2 as states
from peftstudio.job.v1.training_config_pb2 import TrainingConfig
from tests.bench.gateways import connect
from tests.bench.load import Call, raw_call
from tests.bench.measure import Row, in_turns_of, seconds
from tests.bench.peers.direct import CONNECTION, Metadata, direct
from tests.bench.peers.flyte import flyte
from tests.bench.peers.fronts import missing
from tests.bench.peers.program import free_port, program
from tests.bench.processor import at_rest
from tests.bench.training import CONFIG, LABELS
from tests.support.gateway_process import Stubs, gateway_process, operators_environment

CLIENTS = 32
JOBS = 800
JOBS_A_ROUND = 100
"""In a round at least, and for each round that there is: what lasts for a moment only is slower, whoever does it."""
JOBS_TO_THE_END = 160
"""A job that is followed to its end takes some times as long: fewer are as good."""

INSTANT = Path(__file__).with_name("plugins") / "instant_connector.py"
FLOOR = Path(__file__).with_name("peers") / "submit_floor.py"

OPEN = [
    number
    for number in states.JobState.values()
    if number not in (0, states.JOB_STATE_SUCCEEDED, states.JOB_STATE_FAILED, states.JOB_STATE_CANCELLED)
]
LEAST = "the least that keeps the same"
NEAR_ENOUGH = 0.5
"""Half of what does nothing but this: what the gateway does beside is what the least leaves out."""
BEFORE_ITS_PLATFORM = [states.JOB_STATE_SUBMITTING]


async def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to submit jobs."""

    submit: Call
    settle: Callable[[], Awaitable[object]] = _nothing
    """Returns once everything that was submitted has come as far as is measured."""
    clear: Callable[[], Awaitable[object]] = _nothing
    """Ends what goes on, so that rounds do not pile up."""

    async def rate(self, jobs: int) -> float:
        """Submit so many jobs, and return how many that were in a second."""

        async def client() -> None:
            for _ in range(jobs // CLIENTS):
                await self.submit()

        async def everything() -> None:
            await asyncio.gather(*(client() for _ in range(CLIENTS)))
            await self.settle()

        rate = jobs // CLIENTS * CLIENTS / await seconds(everything())
        await self.clear()
        return rate


async def submissions(rounds: int) -> list[Row]:
    """Submit jobs to a platform that takes them at once, with fsync on."""
    jobs = max(JOBS, rounds * JOBS_A_ROUND)
    async with AsyncExitStack() as stack:
        going_on, ending = await stack.enter_async_context(_gateway())
        ways = {"going on": going_on, "ending": ending, "floor": await stack.enter_async_context(_floor())}
        if not missing("flyte"):
            ways["flyte"] = Way(submit=(await stack.enter_async_context(flyte())).create)
        counts = dict.fromkeys(ways, jobs) | {"ending": JOBS_TO_THE_END}
        found = await in_turns_of({name: partial(way.rate, counts[name]) for name, way in ways.items()}, rounds)
    return _rows(found)


def _rows(found: dict[str, list[float]]) -> list[Row]:
    def of(ours: str, measure: str, what: str, goal: float | None) -> Row:
        return Row.of_rates(measure, found[ours], found["flyte"], what, goal, "jobs/s")

    def limited(row: Row) -> Row:
        return row.limited(found["floor"], LEAST, NEAR_ENOUGH, "what keeping the same takes of two cores")

    rows = [
        limited(Row.alone("submissions kept on disk", found["going on"], "jobs/s", least=500)),
        Row.alone("jobs from submission to end", found["ending"], "jobs/s"),
    ]
    if "flyte" in found:
        what = "Flyte's service, which keeps nothing"
        rows.append(limited(of("going on", "submissions", what, 0.4)))
    return rows


@asynccontextmanager
async def _gateway() -> AsyncIterator[tuple[Way, Way]]:
    """Run a gateway, and give how jobs are submitted that go on, and how such that end at once."""
    with TemporaryDirectory(prefix="peft-bench-") as name:
        async with (
            gateway_process(Path(name) / "data", "--plugins", str(INSTANT.parent)) as gateway,
            gateway.connected() as stubs,
            aio.insecure_channel(str(gateway.endpoint["address"])) as channel,
        ):
            await connect(stubs, "instant")
            submit = partial(_submit, channel, (("authorization", f"Bearer {gateway.token}"),), "instant")

            async def end_all() -> None:
                await submit(ends_all=True)()
                await _none_is(stubs, OPEN)
                await at_rest(gateway.pid)

            yield (
                Way(submit=submit(), settle=lambda: _none_is(stubs, BEFORE_ITS_PLATFORM), clear=end_all),
                Way(
                    submit=submit(ends=True),
                    settle=lambda: _none_is(stubs, OPEN),
                    clear=lambda: at_rest(gateway.pid),
                ),
            )


@asynccontextmanager
async def _floor() -> AsyncIterator[Way]:
    """Run the least that keeps and follows jobs, in front of a connector of its own."""
    with TemporaryDirectory(prefix="peft-bench-") as name:
        async with direct(INSTANT) as connector:
            port = free_port()
            command = [sys.executable, str(FLOOR), str(port), connector.address, connector.metadata[0][1], name]
            # As the gateway's: it shall be the least in all respects.
            running = program(command, port, Path(name), operators_environment() | GRPC_ENVIRONMENT)
            async with running as floor, aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                settled = raw_call(channel, "/floor/Settle")

                async def settle() -> None:
                    await settled(b"", timeout=60)

                async def end_all() -> None:
                    await _submit(channel, (), CONNECTION, ends_all=True)()
                    await settle()
                    await at_rest(floor)

                yield Way(submit=_submit(channel, (), CONNECTION), settle=settle, clear=end_all)


async def _none_is(stubs: Stubs, in_states: list[states.JobState.ValueType]) -> None:
    """Wait until no job is in one of some states."""
    request = pb.ListJobsRequest(page_size=1, filter=pb.JobFilter(states=in_states))
    async with asyncio.timeout(120):
        while (await stubs.jobs.ListJobs(request, timeout=30)).jobs:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.02)


def _submit(channel: aio.Channel, metadata: Metadata, connection_id: str, **options: bool) -> Call:
    """Return what submits a job; no two are the same, as no two are that people submit."""
    call = raw_call(channel, "/peftstudio.gateway.v1.JobsService/SubmitJob")
    wish = pb.SubmitJobRequest(connection_id=connection_id, config=_config(), labels=LABELS)
    wish.config.options.update(options)

    async def once() -> None:
        wish.config.seed += 1
        wish.request_id = str(uuid.uuid4())
        await call(wish.SerializeToString(), metadata=metadata, timeout=60)

    return once


def _config() -> TrainingConfig:
    return ParseDict(CONFIG, TrainingConfig())
