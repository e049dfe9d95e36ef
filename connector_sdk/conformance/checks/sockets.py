"""Where a connector listens, and who may come in."""

from __future__ import annotations

import socket
import stat
from dataclasses import replace
from pathlib import Path

from connector_sdk.conformance import system
from connector_sdk.conformance.check import SkippedCheck, advise, check, expect
from connector_sdk.conformance.trial import Trial, until_ready

PRIVATE = 0o600


@check("socket.mode", remedy="Set the umask to 077 while you bind, or chmod 600 the socket before the handshake.")
async def mode(trial: Trial) -> None:
    """The socket's file is for its owner alone (mode 0600)."""
    _expect_private((await trial.process()).order.socket)


@check("socket.health_mode", remedy="Set the umask to 077 while you bind the health socket, too.")
async def health_mode(trial: Trial) -> None:
    """The health socket's file is for its owner alone (mode 0600)."""
    process = await trial.process()
    if "health_address" not in await process.handshake():
        raise SkippedCheck("it serves health on the main socket alone")
    _expect_private(process.order.socket.with_name("s.health"))


@check("socket.tidy", remedy="Keep files in work_dir; the socket's folder is the gateway's.")
async def tidy(trial: Trial) -> None:
    """Nothing but the sockets is put into their folder, and their folder stays private."""
    folder = (await trial.process()).order.runtime_dir
    names = {path.name for path in folder.iterdir()} - {"s", "s.health"}
    expect(not names, f"there is {', '.join(sorted(names))}")
    expect(stat.S_IMODE(folder.stat().st_mode) == 0o700, "the folder's mode was changed")


@check("socket.stale", remedy="Remove what lies at `socket` before you bind: it was left by a process that was killed.")
async def stale(trial: Trial) -> None:
    """A socket that a killed process left at the same path is replaced."""
    async with trial.another(line=b"") as process:
        with socket.socket(socket.AF_UNIX) as old:
            old.bind(str(process.order.socket))
        process.write(replace(process.order, line=None).bootstrap())
        said = await process.handshake()
        expect("address" in said, f"the handshake is {said}")
        async with trial.wire_to(process) as wire:
            await until_ready(wire)


@check(
    "socket.only",
    remedy="Serve the contract on the unix socket alone; a port of this machine is open to all its users.",
)
async def only(trial: Trial) -> None:
    """The process listens at no TCP port."""
    ports = system.listening_ports((await trial.process()).pid)
    advise(not ports, f"it listens at port {', '.join(map(str, ports))}")


def _expect_private(path: Path) -> None:
    expect(path.exists(), f"there is no {path.name}")
    found = stat.S_IMODE(path.stat().st_mode)
    expect(found == PRIVATE, f"the mode of {path.name} is {found:04o}")
