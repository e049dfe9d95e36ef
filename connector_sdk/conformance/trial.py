"""One run against one connector: what is launched, what is open, and what was seen."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import grpc

from connector_sdk._options import CHANNEL_OPTIONS
from connector_sdk._remote import Place, is_loopback
from connector_sdk.conformance import health
from connector_sdk.conformance.check import FailedCheck, SkippedCheck
from connector_sdk.conformance.facts import Facts
from connector_sdk.conformance.forms import required_names
from connector_sdk.conformance.options import Options
from connector_sdk.conformance.process import HANDSHAKE_SECONDS, Order, Process
from connector_sdk.conformance.wire import Seen, Wire
from peftstudio.connector.v1 import connector_service_pb2 as pb

READY_SECONDS = 30.0  # the protocol's
POLL_SECONDS = 0.02
CONNECTION = "conformance"


class Trial:
    """For `async with`; everything that was started is ended with it."""

    def __init__(self, options: Options) -> None:
        """Try the connector that the options name."""
        self.options = options
        self.facts = Facts()
        self.seen = Seen()
        self.canary = f"canary-{secrets.token_hex(12)}"
        """A secret that was never anybody's: it must not be found anywhere."""
        self.jobs: dict[str, str] = {}
        """Jobs that were submitted, by platform id, with their tokens."""
        self.tokens: list[str] = []
        """Every token that a process was given."""
        self._stack = AsyncExitStack()
        self._launches = 0
        self._main: Process | None = None

    async def __aenter__(self) -> Self:
        """Make the folders."""
        folder = tempfile.TemporaryDirectory(prefix="pc-", ignore_cleanup_errors=True)
        self._folder = Path(self._stack.enter_context(folder))
        self.work_dir = self._folder / "w"
        self.work_dir.mkdir(mode=0o700)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what was started."""
        await self._stack.aclose()

    @property
    def launched(self) -> Process | None:
        """The process that most checks call, if there is one by now."""
        return self._main

    async def process(self) -> Process:
        """Give the process that most checks call, once a line came on descriptor 3."""
        return await self.facts.get("a process", self._start_main)

    def order(self, changes: Mapping[str, object] | None = None, line: bytes | None = None) -> Order:
        """Say how the next process is to be launched."""
        if self.options.address is not None:
            raise SkippedCheck("a connector at an address is not launched")
        self._launches += 1
        runtime_dir = self._folder / str(self._launches)
        runtime_dir.mkdir(mode=0o700)
        order = Order(
            command=self.options.command,
            environment=self.options.environment,
            work_dir=self.work_dir,
            runtime_dir=runtime_dir,
            changes=changes or {},
            line=line,
        )
        self.tokens += [order.gateway_token, order.connector_token]
        return order

    @asynccontextmanager
    async def another(
        self, changes: Mapping[str, object] | None = None, *, line: bytes | None = None
    ) -> AsyncIterator[Process]:
        """Launch a process beside, with a bootstrap of its own, for a block."""
        process = Process(self.order(changes, line))
        try:
            process.write(process.order.bootstrap())
            yield process
        finally:
            process.close()

    @asynccontextmanager
    async def ready(self, changes: Mapping[str, object] | None = None) -> AsyncIterator[tuple[Process, Wire]]:
        """Launch a process beside, and wait until it serves, for a block."""
        async with self.another(changes) as process:
            await process.handshake()
            async with self.wire_to(process) as wire:
                await until_ready(wire)
                yield process, wire

    @asynccontextmanager
    async def connected(self, connection_id: str) -> AsyncIterator[tuple[Process, Wire]]:
        """Launch a process beside, and open a connection in it, for a block."""
        async with self.ready() as (process, wire):
            await wire.ask(await self.connect_request(connection_id), pb.ConnectResponse)
            yield process, wire

    @asynccontextmanager
    async def wire_to(self, process: Process) -> AsyncIterator[Wire]:
        """Open a channel to a process, for a block."""
        address = f"unix:{process.order.socket}"
        async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
            yield Wire(channel, self.seen, process.order.gateway_token)

    async def wire(self) -> Wire:
        """Give the way to call the connector as its gateway does, once it is ready."""
        return await self.facts.get("a connector that serves", self._open_wire)

    async def stranger(self) -> Wire:
        """Give the way to call it without a token."""
        return (await self.wire()).with_metadata()

    async def description(self) -> pb.DescribeResponse:
        """Give what the connector says of itself."""
        return await self.facts.get("Describe", self._describe)

    async def capable_of(self, capability: str) -> None:
        """Go on if the capability is declared."""
        if capability not in (await self.description()).capabilities:
            raise SkippedCheck(f"it does not declare {capability}")

    async def connection(self) -> str:
        """Open a connection with the credentials that are accepted, and give its id."""
        return await self.facts.get("a connection", self._connect)

    async def connect_request(self, connection_id: str = CONNECTION) -> pb.ConnectRequest:
        """Give the request that opens a connection."""
        required = required_names((await self.description()).credentials_schema)
        given = self.options.credentials.accepted
        missing = [name for name in required if not given.get(name)]
        if missing:
            raise SkippedCheck(f"needs credentials ({', '.join(missing)}): give --credentials-file")
        return pb.ConnectRequest(connection_id=connection_id, credentials=given)

    async def proof(self) -> str:
        """Give the token that the connector proves itself with."""
        if self.options.address is not None:
            return self._remote_tokens()[1]
        return (await self.process()).order.connector_token

    def forget_process(self) -> None:
        """Let the next check launch a new one: this one is no more."""
        self.facts.forget("a process", "a connector that serves", "a connection")

    async def _start_main(self) -> Process:
        process = Process(self.order())
        self._main = process
        self._stack.callback(process.close)
        process.write(process.order.bootstrap())
        if not await process.line():
            raise FailedCheck(f"no handshake came within {HANDSHAKE_SECONDS:g} s; {process.state()}")
        return process

    async def _open_wire(self) -> Wire:
        if self.options.address is not None:
            wire = await self._dial()
        else:
            process = await self.process()
            said = await process.handshake()
            if "address" not in said:
                raise FailedCheck(f"it does not start: {said.get('error', said)}")
            wire = await self._stack.enter_async_context(self.wire_to(process))
        await until_ready(wire)
        return wire

    async def _dial(self) -> Wire:
        place = self.options.address
        assert place
        gateway_token, connector_token = self._remote_tokens()
        self.tokens += [gateway_token, connector_token]
        if place.ca is None and is_loopback(place.address):
            channel = grpc.aio.insecure_channel(place.address, options=CHANNEL_OPTIONS)
        else:
            ca = place.ca.read_bytes() if place.ca else None
            trust = grpc.ssl_channel_credentials(ca)
            channel = grpc.aio.secure_channel(place.address, trust, options=CHANNEL_OPTIONS)
        return Wire(await self._stack.enter_async_context(channel), self.seen, gateway_token)

    def _remote_tokens(self) -> tuple[str, str]:
        place = self.options.address
        assert place
        return Place(address=place.address, token_file=place.token_file).tokens()

    async def _describe(self) -> pb.DescribeResponse:
        return await (await self.wire()).ask(pb.DescribeRequest(), pb.DescribeResponse)

    async def _connect(self) -> str:
        request = await self.connect_request()
        await (await self.wire()).ask(request, pb.ConnectResponse)
        return request.connection_id


async def until_ready(wire: Wire, seconds: float = READY_SECONDS) -> None:
    """Wait until Describe answers and health is SERVING."""
    deadline = time.monotonic() + seconds
    said = "nothing"
    while time.monotonic() < deadline:
        said = "Describe has no answer"
        if await wire.quiet().refusal(pb.DescribeRequest(), seconds=1.0) is None:
            try:
                status = await health.check(wire.channel)
            except grpc.aio.AioRpcError as error:
                said = f"health answers {error.code().name}"
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    break
            else:
                if status == health.SERVING:
                    return
                said = f"health is {status}"
        await asyncio.sleep(POLL_SECONDS)
    raise FailedCheck(f"it was not ready in time: {said}")
