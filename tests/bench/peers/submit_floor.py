"""The least that submits durably: `submit_floor.py PORT UPSTREAM AUTHORIZATION FOLDER`.

Each call's bytes are in the database before they are handed on to the connector as they are, and the connector's answer
is so before the job's log is followed; whatever waits goes into one transaction, as in the gateway. Nothing is read,
checked, looked at, stored of a log, or told to anybody. `/floor/Submit` is answered once its row is kept,
`/floor/Settle` once all answers are.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc import aio

from peftstudio.connector.v1 import connector_service_pb2 as pb
from tests.bench.load import raw_call, raw_stream

SERVICE = "/peftstudio.connector.v1.ConnectorService/"
INSERT = "INSERT INTO jobs (id, request) VALUES (?, ?)"
UPDATE = "UPDATE jobs SET answer = ?2 WHERE id = ?1"

Row = tuple[int, bytes]


class Rows:
    """One table, written to by one thread, everything that waits in one transaction."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._thread.submit(self._open, path).result()
        self._waiting: list[tuple[str, Row, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def keep(self, statement: str, row: Row) -> None:
        """Return once the row is on the disk for good."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((statement, row, kept))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await kept

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            rows = {
                statement: [row for wanted, row, _ in batch if wanted == statement] for statement in (INSERT, UPDATE)
            }
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, rows)
            for _, _, kept in batch:
                kept.set_result(None)
        self._writing = None

    def _open(self, path: Path) -> None:
        self._database = sqlite3.connect(path)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, request BLOB, answer BLOB)")

    def _write(self, rows: Mapping[str, Sequence[Row]]) -> None:
        with self._database:
            for statement, values in rows.items():
                self._database.executemany(statement, values)


class Floor(grpc.GenericRpcHandler):
    """Keeps, hands on, keeps the answer, and follows."""

    def __init__(self, rows: Rows, channel: aio.Channel, authorization: str) -> None:
        self._rows = rows
        self._call = raw_call(channel, SERVICE + "SubmitJob")
        self._stream = raw_stream(channel, SERVICE + "StreamLogs")
        self._metadata = (("authorization", authorization),)
        self._number = 0
        self._handing_on: set[asyncio.Task[None]] = set()
        self._following: set[asyncio.Task[None]] = set()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Give the handler of one of the two methods."""
        is_submit = details.method.endswith("/Submit")
        return grpc.unary_unary_rpc_method_handler(self._submit if is_submit else self._settle)

    async def _submit(self, request: bytes, _: object) -> bytes:
        self._number += 1
        number = self._number
        await self._rows.keep(INSERT, (number, request))
        _spawn(self._hand_on(number, request), self._handing_on)
        return b"%d" % number

    async def _hand_on(self, number: int, request: bytes) -> None:
        answer = await self._call(request, metadata=self._metadata, timeout=60)
        await self._rows.keep(UPDATE, (number, answer))
        _spawn(self._follow(request, answer), self._following)

    async def _follow(self, request: bytes, answer: bytes) -> None:
        wanted = pb.StreamLogsRequest(
            connection_id=pb.SubmitJobRequest.FromString(request).connection_id,
            platform_job_id=pb.SubmitJobResponse.FromString(answer).platform_job_id,
        )
        async for _ in self._stream(wanted.SerializeToString(), metadata=self._metadata):
            pass

    async def _settle(self, _: bytes, __: object) -> bytes:
        while self._handing_on:
            await asyncio.wait(self._handing_on)
        return b""


def _spawn(work: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def main(port: str, upstream: str, authorization: str, folder: str) -> None:
    """Serve until the process is ended."""
    async with aio.insecure_channel(upstream) as channel:
        server = aio.server()
        floor = Floor(Rows(Path(folder) / "floor.db"), channel, authorization)
        server.add_generic_rpc_handlers((floor,))
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
