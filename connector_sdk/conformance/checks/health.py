"""Health: docs/protocol.md, health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

import grpc

from connector_sdk._contract import SERVICE
from connector_sdk._options import CHANNEL_OPTIONS
from connector_sdk.conformance import health
from connector_sdk.conformance.check import FailedCheck, SkippedCheck, advise, check, expect
from connector_sdk.conformance.trial import Trial
from connector_sdk.conformance.wire import Wire
from peftstudio.connector.v1 import connector_service_pb2 as pb

CROWD = 64
FLOOD = 400  # calls that keep a connector's loop busy for some tenths of a second
PROBES = 10


@check("health.serving", remedy='Serve grpc.health.v1.Health on the main socket, and answer SERVING for "".')
async def serving(trial: Trial) -> None:
    """Health on the main socket is SERVING."""
    await _expect_serving((await trial.wire()).channel, "")


@check("health.service", remedy="Answer SERVING for the name of ConnectorService, too.")
async def service(trial: Trial) -> None:
    """Health of the ConnectorService is SERVING."""
    await _expect_serving((await trial.wire()).channel, SERVICE)


@check("health.unknown", remedy="Answer NOT_FOUND for services that are not there, as gRPC's health protocol says.")
async def unknown(trial: Trial) -> None:
    """Health of a service that is not there is NOT_FOUND."""
    try:
        said = await health.check((await trial.wire()).channel, "no.such.Service")
    except grpc.aio.AioRpcError as error:
        advise(error.code() is grpc.StatusCode.NOT_FOUND, f"it is {error.code().name}")
        return
    expect(said != health.SERVING, "it is SERVING")


@check("health.watch", remedy="Serve Watch, too: gateways learn from it that a connector drains.")
async def watch(trial: Trial) -> None:
    """Watch tells at once that it is SERVING."""
    async with aclosing(health.watch((await trial.wire()).channel)) as answers:
        async for answer in answers:
            expect(answer.status == health.SERVING, f"it says {answer.status}")
            return
    raise FailedCheck("the stream ended without a word")


@check("health.crowd", remedy="Answer health without doing any work.")
async def crowd(trial: Trial) -> None:
    """64 health calls at a time are answered."""
    channel = (await trial.wire()).channel
    async with asyncio.TaskGroup() as group:
        for _ in range(CROWD):
            group.create_task(_expect_serving(channel, ""))


@check(
    "health.own_socket",
    remedy="Serve health on <socket>.health as well, on threads of its own, and say health_address.",
)
async def own_socket(trial: Trial) -> None:
    """Health on the socket of its own is SERVING for the process and for its main loop."""
    async with grpc.aio.insecure_channel(await _own_address(trial), options=CHANNEL_OPTIONS) as channel:
        await _expect_serving(channel, "")
        await _expect_serving(channel, SERVICE)


@check("health.busy", remedy="Serve <socket>.health on threads that the work of the connector cannot hold up.")
async def busy(trial: Trial) -> None:
    """While hundreds of calls wait for the main loop, health on the socket of its own answers."""
    wire = await trial.wire()
    address = await _own_address(trial)
    async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel, _flood(wire):
        for _ in range(PROBES):
            await _expect_serving(channel, "")


@check("health.load", remedy="Do no blocking work in the handlers of calls.")
async def load(trial: Trial) -> None:
    """While hundreds of calls are under way, health on the main socket answers."""
    wire = await trial.wire()
    async with _flood(wire):
        for _ in range(PROBES):
            await _expect_serving(wire.channel, "")


@asynccontextmanager
async def _flood(wire: Wire) -> AsyncIterator[None]:
    calls = [wire.quiet().attempt(pb.DescribeRequest(), pb.DescribeResponse) for _ in range(FLOOD)]
    flood = asyncio.gather(*calls, return_exceptions=True)
    try:
        yield
    finally:
        await flood


async def _own_address(trial: Trial) -> str:
    if trial.options.address is not None:
        raise SkippedCheck("a connector at an address has one address")
    address = (await (await trial.process()).handshake()).get("health_address")
    if address is None:
        raise SkippedCheck("it serves health on the main socket alone")
    return str(address)


async def _expect_serving(channel: grpc.aio.Channel, name: str) -> None:
    said: object = "no answer"
    with suppress(grpc.aio.AioRpcError):
        said = await health.check(channel, name)
    expect(said == health.SERVING, f"health of {name or 'the process'} is {said}")
