"""Violence: what gateways and their machines do to connectors on bad days."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
from dataclasses import replace

from connector_sdk.conformance import health
from connector_sdk.conformance.check import SkippedCheck, check, expect
from connector_sdk.conformance.process import POLL_SECONDS, Process
from connector_sdk.conformance.trial import Trial, until_ready
from connector_sdk.conformance.wire import Wire
from connector_sdk.conformance.work import ended, look
from peftstudio.connector.v1 import connector_service_pb2 as pb

FREEZE_SECONDS = 1.0
PAUSE_SECONDS = 0.3  # between two parts of what is slow
CONNECTIONS = 200
LONG_SECONDS = 60.0
NOISE = b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n" + bytes(range(256)) * 16


@check("chaos.freeze", chaos=True, remedy="Measure time-outs so that a pause of the whole machine ends nothing.")
async def freeze(trial: Trial) -> None:
    """A process that is stopped for a second and continued serves on, with its connection open."""
    process, wire, connection = await trial.process(), await trial.wire(), await trial.connection()
    process.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(FREEZE_SECONDS)
    finally:
        process.signal(signal.SIGCONT)
    await wire.ask(pb.VerifyConnectionRequest(connection_id=connection), pb.VerifyConnectionResponse)
    expect(await health.check(wire.channel) == health.SERVING, "health is not SERVING")


@check("chaos.frozen_call", chaos=True, remedy="Let calls wait; none is to be dropped because it took long.")
async def frozen_call(trial: Trial) -> None:
    """A call that is made while the process is stopped is answered once it continues."""
    process, wire = await trial.process(), await trial.wire()
    process.signal(signal.SIGSTOP)
    try:
        call = asyncio.ensure_future(wire.ask(pb.DescribeRequest(), pb.DescribeResponse))
        await asyncio.sleep(PAUSE_SECONDS)
    finally:
        process.signal(signal.SIGCONT)
    await call


@check("chaos.noise", chaos=True, remedy="Use a gRPC library: it closes connections that do not speak HTTP/2.")
async def noise(trial: Trial) -> None:
    """Bytes that are no gRPC, written to the socket, disturb nobody else."""
    process, wire = await trial.process(), await trial.wire()
    for _ in range(8):
        await _write_noise(process)
    await wire.ask(pb.DescribeRequest(), pb.DescribeResponse)


@check("chaos.storm", chaos=True, remedy="Keep nothing of a connection that says nothing.")
async def storm(trial: Trial) -> None:
    """200 connections that are opened and closed without a word disturb nobody."""
    process, wire = await trial.process(), await trial.wire()
    for _ in range(CONNECTIONS):
        _, writer = await asyncio.open_unix_connection(str(process.order.socket))
        writer.close()
    await wire.ask(pb.DescribeRequest(), pb.DescribeResponse)


@check(
    "chaos.lifeline_noise", chaos=True, remedy="Read stdin to its end; what comes behind the bootstrap means nothing."
)
async def lifeline_noise(trial: Trial) -> None:
    """Bytes behind the bootstrap on stdin disturb nobody."""
    process, wire = await trial.process(), await trial.wire()
    process.write(b"\n" + NOISE)
    await wire.ask(pb.DescribeRequest(), pb.DescribeResponse)


@check(
    "chaos.slow_bootstrap", chaos=True, remedy="Read stdin until the line's end: it may come in pieces.", seconds=40.0
)
async def slow_bootstrap(trial: Trial) -> None:
    """A bootstrap that comes in pieces is read."""
    async with trial.another(line=b"") as process:
        data = replace(process.order, line=None).bootstrap()
        for piece in (data[:10], data[10:-1], data[-1:]):
            process.write(piece)
            await asyncio.sleep(PAUSE_SECONDS)
        await _expect_ready(trial, process)


@check("chaos.slow_start", chaos=True, remedy="Set no time-out of your own on your start.", seconds=40.0)
async def slow_start(trial: Trial) -> None:
    """A process that is stopped twice while it starts, starts."""
    async with trial.another() as process:
        for _ in range(2):
            await asyncio.sleep(PAUSE_SECONDS / 3)
            process.signal(signal.SIGSTOP)
            await asyncio.sleep(PAUSE_SECONDS)
            process.signal(signal.SIGCONT)
        await _expect_ready(trial, process)


@check(
    "chaos.two",
    chaos=True,
    remedy="Guard what must not be done twice with a lock, and share nothing else in work_dir.",
    seconds=40.0,
)
async def two(trial: Trial) -> None:
    """A second process beside the first, in the same folder, serves, and leaves the first one serving."""
    wire = await trial.wire()
    async with trial.ready({"generation": 2}) as (_, other):
        await other.ask(await trial.connect_request(), pb.ConnectResponse)
        await wire.ask(pb.DescribeRequest(), pb.DescribeResponse)
        await other.ask(pb.DescribeRequest(), pb.DescribeResponse)


@check(
    "chaos.killed_start",
    chaos=True,
    remedy="Leave nothing half made when you start; the next start must find its way.",
    seconds=50.0,
)
async def killed_start(trial: Trial) -> None:
    """A process that is killed while it starts leaves nothing that keeps the next one from starting."""
    for _ in range(2):
        async with trial.another() as process:
            await asyncio.sleep(PAUSE_SECONDS / 2)
            process.signal(signal.SIGKILL)
            await process.ends(5.0)
    async with trial.another() as process:
        await _expect_ready(trial, process)


@check(
    "chaos.clock",
    chaos=True,
    remedy="Measure with a monotonic clock, and take the platform's times as they are.",
    seconds=45.0,
)
async def clock(trial: Trial) -> None:
    """A process whose clock is ten years ahead serves."""
    program = shutil.which("faketime")
    if program is None:
        raise SkippedCheck("needs the program faketime")
    order = trial.order()
    process = Process(replace(order, command=(program, "-f", "+10y", *order.command)))
    try:
        process.write(order.bootstrap())
        await _expect_ready(trial, process)
    finally:
        process.close()


@check(
    "chaos.killed_read",
    chaos=True,
    remedy="Make cursors of what the platform keeps, not of what a process remembers.",
    seconds=60.0,
)
async def killed_read(trial: Trial) -> None:
    """A log whose connector is killed goes on from its cursor in the next process, each line once."""
    job = await ended(trial)
    if (await trial.description()).log_source != pb.LOG_SOURCE_CURSOR:
        raise SkippedCheck("its log is not continued by cursor")
    whole = await (await trial.wire()).read(job.log(), pb.StreamLogsResponse)
    async with trial.connected(job.connection) as (process, wire):
        first = await wire.read(job.log(), pb.StreamLogsResponse, most=1)
        process.signal(signal.SIGKILL)
        await process.ends(5.0)
    async with trial.connected(job.connection) as (_, wire):
        rest = await wire.read(job.log(first[-1].cursor), pb.StreamLogsResponse)
    texts = [line.text for batch in (*first, *rest) for line in batch.lines]
    expected = [line.text for batch in whole for line in batch.lines]
    expect(texts == expected, f"{len(texts)} lines came, and the log has {len(expected)}")


@check(
    "chaos.killed",
    chaos=True,
    remedy="Keep nothing in memory that the next process needs; ask the platform.",
    seconds=LONG_SECONDS,
)
async def killed(trial: Trial) -> None:
    """A process that is killed is replaced by one that knows the same job in the same state."""
    job, process = await ended(trial), await trial.process()
    before = await look(await trial.wire(), job)
    process.signal(signal.SIGKILL)
    await process.ends(5.0)
    trial.forget_process()
    await trial.connection()
    seen = await look(await trial.wire(), job)
    expect(seen.state == before.state, f"it was {before.state}, and is {seen.state}")


async def _expect_ready(trial: Trial, process: Process) -> None:
    said = await process.handshake(LONG_SECONDS)
    expect("address" in said, f"the handshake is {said}")
    async with trial.wire_to(process) as wire:
        await until_ready(wire)
        await _expect_answer(wire)


async def _expect_answer(wire: Wire) -> None:
    await wire.ask(pb.DescribeRequest(), pb.DescribeResponse)


async def _write_noise(process: Process) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as raw:
        raw.setblocking(False)
        await loop.sock_connect(raw, str(process.order.socket))
        await loop.sock_sendall(raw, NOISE)
        await asyncio.sleep(POLL_SECONDS)
