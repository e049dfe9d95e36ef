"""The least that keeps what the gateway keeps: `submit_floor.py PORT UPSTREAM AUTHORIZATION FOLDER`.

It is asked as the gateway is, and checks and answers with the gateway's own functions and messages. It has the
gateway's tables, and in them what the gateway has of each job: the job, its labels, and an event for each of four
steps, each in the database before the next one; whatever waits goes into one transaction. Its log is followed, and
soon after that each job is looked at, with others. All else is left out: nobody is told, no request id is looked up,
nothing is stored of a log, nothing is tried again or found after a crash, and no garbage is collected. `/floor/Settle`
is answered once the platform has all jobs.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import grpc
from grpc import aio
from sqlalchemy import create_engine

from gateway.api.requests import submit_violations
from gateway.store.schema import job_events, job_labels, jobs, metadata
from peftstudio.connector.v1 import connector_service_pb2 as connector
from peftstudio.gateway.v1 import jobs_service_pb2 as pb
from peftstudio.job.v1 import job_state_pb2 as states
from tests.bench.load import raw_call, raw_stream

SERVICE = "/peftstudio.connector.v1.ConnectorService/"
LOOK_SECONDS = 0.1
"""Between two looks at jobs that nobody has looked at, as in the gateway."""

Cell = str | int | None
Row = tuple[Cell, ...]


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


JOB_COLUMNS = [column.name for column in jobs.columns]
INSERT_JOB = _insert("jobs", JOB_COLUMNS)
INSERT_LABEL = _insert("job_labels", [column.name for column in job_labels.columns])
INSERT_EVENT = _insert("job_events", [column.name for column in job_events.columns])
UPDATE_JOB = """UPDATE jobs SET state = ?2, platform_job_id = ?3, change = ?4, updated_at = ?5, revision = revision + 1
WHERE id = ?1"""
STATEMENTS = (INSERT_JOB, INSERT_LABEL, UPDATE_JOB, INSERT_EVENT)

UNCHANGED: dict[str, Cell] = {
    "connector_id": "instant",
    "request_hash": "",
    "resource_id": "",
    "limits": "{}",
    "state": "SUBMITTING",
    "reason": "UNSPECIFIED",
    "message": "",
    "raw_state": "",
    "platform_job_id": "",
    "attempt": 1,
    "revision": 1,
    "progress": None,
    "exit_code": None,
    "resource_state": "UNKNOWN",
    "price": None,
    "started_at": None,
    "ended_at": None,
    "observed_at": None,
    "last_error": "",
    "last_log_seq": 0,
    "is_log_open": 1,
    "metrics_cursor": "",
    "holds": "[]",
    "tokens": 0,
}


class Rows:
    """The tables, written to by one thread, everything that waits in one transaction."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._thread.submit(self._open, path).result()
        self._waiting: list[tuple[Sequence[tuple[str, Row]], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def keep(self, *rows: tuple[str, Row]) -> None:
        """Return once the rows are on the disk for good."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, kept))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await kept

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            rows: dict[str, list[Row]] = {statement: [] for statement in STATEMENTS}
            for statement, row in (row for wanted, _ in batch for row in wanted):
                rows[statement].append(row)
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, rows)
            for _, kept in batch:
                kept.set_result(None)
        self._writing = None

    def _open(self, path: Path) -> None:
        engine = create_engine(f"sqlite:///{path}")
        metadata.create_all(engine)
        engine.dispose()
        self._database = sqlite3.connect(path)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")

    def _write(self, rows: Mapping[str, Sequence[Row]]) -> None:
        with self._database:
            for statement, values in rows.items():
                self._database.executemany(statement, values)


class Floor(grpc.GenericRpcHandler):
    """Checks, keeps, answers, hands on, keeps the answer, follows, looks, and keeps what it saw."""

    def __init__(self, rows: Rows, channel: aio.Channel, authorization: str) -> None:
        self._rows = rows
        self._call = raw_call(channel, SERVICE + "SubmitJob")
        self._stream = raw_stream(channel, SERVICE + "StreamLogs")
        self._batch = raw_call(channel, SERVICE + "BatchGetJobStatus")
        self._metadata = (("authorization", authorization),)
        self._numbers, self._changes = count(1), count(1)
        self._handing_on: set[asyncio.Task[None]] = set()
        self._following: set[asyncio.Task[None]] = set()
        self._connection_id = ""
        self._unseen: dict[str, str] = {}

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Give the handler of one of the two methods."""
        is_submit = details.method.endswith("/SubmitJob")
        return grpc.unary_unary_rpc_method_handler(self._submit if is_submit else self._settle)

    async def _submit(self, data: bytes, _: object) -> bytes:
        request = pb.SubmitJobRequest.FromString(data)
        if submit_violations(request):
            raise ValueError("the request cannot be used")
        # All are of one connection.
        self._connection_id = request.connection_id
        job_id, now = f"job-{next(self._numbers):020}", time.time_ns() // 1000
        values: dict[str, Cell] = {
            **UNCHANGED,
            "id": job_id,
            "connection_id": request.connection_id,
            "config": request.config.SerializeToString().hex(),
            "submission_token": f"peft-{job_id}",
            "request_id": request.request_id,
            "labels": str(request.labels),
            "change": next(self._changes),
            "created_at": now,
            "updated_at": now,
        }
        await self._rows.keep(
            (INSERT_JOB, tuple(values[name] for name in JOB_COLUMNS)),
            *((INSERT_LABEL, (key, value, job_id)) for key, value in request.labels.items()),
            (INSERT_EVENT, (job_id, 1, now, "submitted", "SUBMITTING", "the job was accepted")),
            (INSERT_EVENT, (job_id, 2, now, "submit_started", "SUBMITTING", "the platform is called")),
        )
        _spawn(self._hand_on(job_id, request), self._handing_on)
        job = pb.Job(
            id=job_id,
            connection_id=request.connection_id,
            config=request.config,
            labels=request.labels,
            state=states.JOB_STATE_SUBMITTING,
            request_id=request.request_id,
        )
        return pb.SubmitJobResponse(job=job).SerializeToString()

    async def _hand_on(self, job_id: str, request: pb.SubmitJobRequest) -> None:
        order = connector.SubmitJobRequest(
            connection_id=request.connection_id,
            job_id=job_id,
            submission_token=f"peft-{job_id}",
            config=request.config,
            labels=request.labels,
        )
        answer = await self._call(order.SerializeToString(), metadata=self._metadata, timeout=60)
        platform_job_id = connector.SubmitJobResponse.FromString(answer).platform_job_id
        await self._changed(job_id, 3, "QUEUED", platform_job_id, "accepted")
        self._unseen[platform_job_id] = job_id
        _spawn(self._follow(platform_job_id), self._following)

    async def _changed(self, job_id: str, seq: int, state: str, platform_job_id: str, kind: str) -> None:
        now = time.time_ns() // 1000
        await self._rows.keep(
            (UPDATE_JOB, (job_id, state, platform_job_id, next(self._changes), now)),
            (INSERT_EVENT, (job_id, seq, now, kind, state, platform_job_id)),
        )

    async def _follow(self, platform_job_id: str) -> None:
        wanted = connector.StreamLogsRequest(connection_id=self._connection_id, platform_job_id=platform_job_id)
        async for _ in self._stream(wanted.SerializeToString(), metadata=self._metadata):
            pass

    async def look(self) -> None:
        """Look for ever at the jobs that were taken since the last look."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            unseen, self._unseen = self._unseen, {}
            if unseen:
                await self._look_at(unseen)

    async def _look_at(self, unseen: Mapping[str, str]) -> None:
        wanted = connector.BatchGetJobStatusRequest(connection_id=self._connection_id, platform_job_ids=unseen)
        answer = await self._batch(wanted.SerializeToString(), metadata=self._metadata, timeout=60)
        seen = connector.BatchGetJobStatusResponse.FromString(answer).observations
        await asyncio.gather(
            *(
                self._changed(unseen[name], 4, states.JobState.Name(found.state), name, "state_changed")
                for name, found in seen.items()
            )
        )

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
        gc.disable()
        await floor.look()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
