"""Starts that cannot go well, and bootstraps of gateways that are older or newer."""

from __future__ import annotations

import re

from connector_sdk._start import ExitCode
from connector_sdk.conformance.check import advise, check, expect
from connector_sdk.conformance.process import Process
from connector_sdk.conformance.trial import Trial

END_SECONDS = 10.0  # what a start may take
FOREIGN = 9999


async def _foreign(trial: Trial) -> tuple[dict[str, object], int | None]:
    async def launch() -> tuple[dict[str, object], int | None]:
        async with trial.another({"protocols": [FOREIGN]}) as process:
            said = await process.handshake()
            if "address" not in said:
                await process.ends(END_SECONDS)
            return said, process.exit_code

    return await trial.facts.get("an answer to a foreign protocol", launch)


@check(
    "versions.refused",
    remedy='Compare `protocols` with your own; with none in common write {"version": 1, "error": "…"}.',
)
async def refused(trial: Trial) -> None:
    """Where no protocol is in common, the handshake has an error and no address."""
    said, _ = await _foreign(trial)
    expect(isinstance(said.get("error"), str) and "address" not in said, f"the handshake is {said}")


@check(
    "versions.named", remedy="Name the protocols of both sides in the error, so that its reader knows which to update."
)
async def named(trial: Trial) -> None:
    """The error of a foreign protocol names both sides' versions."""
    said, _ = await _foreign(trial)
    numbers = set(re.findall(r"\d+", str(said.get("error"))))
    expect({"1", str(FOREIGN)} <= numbers, f"the error is: {said.get('error')}")


@check("versions.exit_code", remedy="Exit with 78 behind the error: starting again would not help.")
async def exit_code(trial: Trial) -> None:
    """Where no protocol is in common, the process exits with 78."""
    _, code = await _foreign(trial)
    expect(code is not None, "it goes on")
    expect(code == ExitCode.CONFIGURATION, f"the exit code is {code}")


@check("versions.newer_gateway", remedy="Ignore keys that you do not know, and choose among the protocols that you do.")
async def newer_gateway(trial: Trial) -> None:
    """A bootstrap with unknown keys and newer protocols is taken."""
    changes = {"protocols": [1, FOREIGN], "x_unknown": {"nested": [1, None, "\N{GRINNING FACE}"]}}
    async with trial.ready(changes) as (process, _):
        said = await process.handshake()
        expect(said.get("protocol") == 1, f"protocol is {said.get('protocol')!r}")


async def _ended(process: Process) -> int:
    expect(await process.ends(END_SECONDS), f"it still runs after {END_SECONDS:g} s")
    return process.exit_code or 0


@check("bootstrap.broken", remedy="Read one line, and where it is no JSON object write an error and exit with 78.")
async def broken(trial: Trial) -> None:
    """A bootstrap that is no JSON ends the process with an error code and an error in the handshake."""
    async with trial.another(line=b"{this is no JSON\n") as process:
        code = await _ended(process)
        expect(code != 0, "it exits with 0, as if all were well")
        advise(code in (ExitCode.CONFIGURATION, ExitCode.TRY_AGAIN), f"the exit code is {code}, and not 78")
        said = await process.handshake()
        advise("error" in said, f"the handshake is {said}")


@check("bootstrap.absent", remedy="When stdin ends before the bootstrap came, exit.", seconds=25.0)
async def absent(trial: Trial) -> None:
    """Without a bootstrap, the process ends when stdin does."""
    async with trial.another(line=b"") as process:
        process.cut_lifeline()
        expect(await _ended(process) != 0, "it exits with 0, as if all were well")
