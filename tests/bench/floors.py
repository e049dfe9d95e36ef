"""What this machine, its disk, and Python's gRPC can do at best: below none of this gets anything here."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from grpc import aio

from tests.bench.connectors import IMPORT, interpreter
from tests.bench.load import latency, raw_call
from tests.bench.measure import Row, in_turns_of, seconds
from tests.bench.peers import floor_server
from tests.bench.peers.program import free_port, program

MIB = 1024 * 1024
CALLS = 500
CLIENTS = (1, 32)
ROUND_TRIPS = 500
STREAMED_BYTES = 256 * MIB
BLOCK_BYTES = 4096
BLOCKS = 20
FILE_BYTES = 64 * MIB
FEWEST_ROUNDS = 11
"""Each is short."""


@dataclass(frozen=True, slots=True)
class Floor:
    """One thing that is measured."""

    measure: str
    unit: str
    once: Callable[[], float]
    """Blocks; it runs in a thread."""


async def floors(rounds: int) -> list[Row]:
    """Measure all of it in turns."""
    rounds = max(rounds, FEWEST_ROUNDS)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="peft-bench-")))
        channel, link = await stack.enter_async_context(_served(folder))
        floors = [
            Floor("a round trip on the loopback interface", "µs", partial(_round_trip, link)),
            Floor("bytes over the loopback interface", "MiB/s", partial(_stream, link)),
            Floor("4 KiB written and synced to the disk", "ms", partial(_synced, folder / "blocks")),
            Floor("bytes written and synced at the end", "MiB/s", partial(_written, folder / "file")),
            Floor("bytes hashed with sha256", "MiB/s", _hashed),
            Floor("bytes read out of the page cache", "MiB/s", partial(_read, folder / "file")),
        ]
        found = await in_turns_of(
            {one.measure: partial(asyncio.to_thread, one.once) for one in floors}, rounds, is_in_order=True
        )
        return [
            *await _interpreters(rounds),
            *await _calls(channel, rounds),
            *(Row.alone(one.measure, found[one.measure], one.unit) for one in floors),
        ]


async def _interpreters(rounds: int) -> list[Row]:
    programs = {"an interpreter, to its end": "pass", "an interpreter that imports grpc and pydantic": IMPORT}
    ways = {what: partial(_seconds_of, code) for what, code in programs.items()}
    found = await in_turns_of(ways, rounds)
    return [Row.alone(what, taken, "ms") for what, taken in found.items()]


async def _seconds_of(code: str) -> float:
    return await seconds(interpreter(code))


async def _calls(channel: aio.Channel, rounds: int) -> list[Row]:
    """Call a server that only answers, at one client and at many."""
    echo, rows = partial(raw_call(channel, floor_server.METHOD), b"x" * 100, timeout=30), []
    for clients in CLIENTS:
        p50, rate = [], []
        for _ in range(rounds + 1):
            began = time.perf_counter()
            p50.append((await latency(echo, CALLS, clients)).p50)
            rate.append(CALLS // clients * clients / (time.perf_counter() - began))
        measure = f"a bare grpc.aio echo, {clients} at a time"
        rows += [Row.alone(f"{measure}: p50", p50[1:], "ms"), Row.alone(measure, rate[1:], "calls/s")]
    return rows


@asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[tuple[aio.Channel, socket.socket]]:
    port, socket_port = free_port(), free_port()
    command = [sys.executable, str(Path(floor_server.__file__)), str(port), str(socket_port)]
    async with program(command, port, folder), aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with socket.create_connection(("127.0.0.1", socket_port)) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield channel, link


def _round_trip(link: socket.socket) -> float:
    began = time.perf_counter()
    for _ in range(ROUND_TRIPS):
        _fetch(link, 1, bytearray(1))
    return (time.perf_counter() - began) / ROUND_TRIPS


def _stream(link: socket.socket) -> float:
    began = time.perf_counter()
    _fetch(link, STREAMED_BYTES, bytearray(MIB))
    return STREAMED_BYTES / MIB / (time.perf_counter() - began)


def _fetch(link: socket.socket, size: int, room: bytearray) -> None:
    link.sendall(size.to_bytes(floor_server.REQUEST_BYTES, "big"))
    while size:
        received = link.recv_into(room)
        assert received, "the server ended"
        size -= received


def _synced(path: Path) -> float:
    with path.open("wb", buffering=0) as file:
        began = time.perf_counter()
        for _ in range(BLOCKS):
            file.write(bytes(BLOCK_BYTES))
            os.fsync(file.fileno())
        return (time.perf_counter() - began) / BLOCKS


def _written(path: Path) -> float:
    piece = os.urandom(MIB)
    with path.open("wb", buffering=0) as file:
        began = time.perf_counter()
        for _ in range(FILE_BYTES // MIB):
            file.write(piece)
        os.fsync(file.fileno())
        return FILE_BYTES / MIB / (time.perf_counter() - began)


def _hashed() -> float:
    piece, digest, began = os.urandom(MIB), hashlib.sha256(), time.perf_counter()
    for _ in range(FILE_BYTES // MIB):
        digest.update(piece)
    return FILE_BYTES / MIB / (time.perf_counter() - began)


def _read(path: Path) -> float:
    room, began = bytearray(MIB), time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.readinto(room):
            pass
    return FILE_BYTES / MIB / (time.perf_counter() - began)
