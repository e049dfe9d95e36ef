"""The handshake: docs/protocol.md, handshake."""

from __future__ import annotations

import asyncio

from connector_sdk._contract import contract_digest
from connector_sdk.conformance import system
from connector_sdk.conformance.check import advise, check, expect
from connector_sdk.conformance.trial import Trial

CLOSE_SECONDS = 5.0  # to close a descriptor takes no time


@check("handshake.comes", remedy="Write the handshake to descriptor 3 as soon as the server listens, and flush it.")
async def comes(trial: Trial) -> None:
    """A line comes on descriptor 3 within 10 s."""
    await trial.process()


@check("handshake.json", remedy="Let nothing else be written to descriptor 3; print to stdout or stderr.")
async def is_json(trial: Trial) -> None:
    """The first line on descriptor 3 is the handshake, a JSON object that says where the server listens."""
    process = await trial.process()
    said = await trial.facts.get("a handshake", process.handshake)
    expect("address" in said, f"it does not start: {said.get('error', said)}")


@check("handshake.version", remedy='The first key of the handshake is "version": 1.')
async def version(trial: Trial) -> None:
    """The handshake says that it is of version 1."""
    said = await (await trial.process()).handshake()
    expect(said.get("version") == 1, f"version is {said.get('version')!r}")


@check("handshake.closed", remedy="Close descriptor 3 once the handshake is written, and let no child inherit it.")
async def closed(trial: Trial) -> None:
    """Descriptor 3 is closed behind the handshake."""
    process = await trial.process()
    await process.line()
    async with asyncio.timeout(CLOSE_SECONDS):
        while not process.has_closed():  # noqa: ASYNC110 - another process closes it
            await asyncio.sleep(0.01)


@check("handshake.alone", remedy="Print to stdout or stderr; nothing but the handshake belongs on descriptor 3.")
async def alone(trial: Trial) -> None:
    """The handshake is one line, and all that is written to descriptor 3."""
    process = await trial.process()
    await process.line()
    process.has_closed()
    line, newline, rest = process.said.partition(b"\n")
    expect(newline == b"\n", "the line has no end: write a newline behind it")
    expect(not rest, f"behind {line[:40]!r} comes {rest[:100]!r}")


@check("handshake.protocol", remedy="Choose the highest number of the bootstrap's `protocols` that you speak.")
async def protocol(trial: Trial) -> None:
    """The chosen protocol is one that the bootstrap offers."""
    said = await (await trial.process()).handshake()
    expect(said.get("protocol") == 1, f"protocol is {said.get('protocol')!r}, and [1] was offered")


@check("handshake.address", remedy="Listen at the bootstrap's `socket` and say unix:<socket>.")
async def address(trial: Trial) -> None:
    """The address is the unix socket that the bootstrap names."""
    process = await trial.process()
    said = await process.handshake()
    expect(said.get("address") == f"unix:{process.order.socket}", f"address is {said.get('address')!r}")


@check("handshake.pid", remedy="Say the pid of the process that serves, and exec it instead of starting it as a child.")
async def pid(trial: Trial) -> None:
    """The pid is that of the process that was launched."""
    process = await trial.process()
    said = (await process.handshake()).get("pid")
    expect(said == process.pid, f"pid is {said!r}, and {process.pid} was launched")


@check("handshake.sdk", remedy="Say what serves the connector and its version: my-sdk/1.2.3.")
async def sdk(trial: Trial) -> None:
    """The handshake says what the connector is served by."""
    said = (await (await trial.process()).handshake()).get("sdk")
    advise(isinstance(said, str) and bool(said), f"sdk is {said!r}")


@check(
    "handshake.identity", remedy="start_time is field 22 of /proc/self/stat, boot_id the content of the kernel's file."
)
async def identity(trial: Trial) -> None:
    """Where the handshake tells start_time, it is the time at which the process started."""
    process = await trial.process()
    said = await process.handshake()
    advise("start_time" in said, "it tells no start_time, so that no gateway can take it over")
    expected = system.start_time(process.pid)
    expect(said["start_time"] == expected, f"start_time is {said['start_time']!r}, and should be {expected}")


@check("handshake.digest", remedy="Generate your code from the present protos, and compute the digest as described.")
async def digest(trial: Trial) -> None:
    """Where the handshake tells the digest of its contract, it is that of the present contract."""
    said = (await (await trial.process()).handshake()).get("contract_digest")
    advise(said in (None, contract_digest()), f"contract_digest is {said!r}, and is {contract_digest()} here")


@check("handshake.ready", remedy="Serve Describe and health before the handshake, and answer SERVING.", seconds=35.0)
async def ready(trial: Trial) -> None:
    """Within 30 s of the start, Describe answers and health says SERVING."""
    await trial.wire()
