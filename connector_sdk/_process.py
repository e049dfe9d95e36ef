"""The life of a connector process, once its bootstrap has been read: listen, tell the gateway, serve, drain, end."""

from __future__ import annotations

import asyncio
import functools
import shutil
import signal
from contextlib import suppress

from connector_sdk._connections import Factory
from connector_sdk._contract import contract_digest
from connector_sdk._handshake import report_ready
from connector_sdk._health_socket import HealthSocket
from connector_sdk._listener import SocketListener
from connector_sdk._pulse import Pulse, Watchdog
from connector_sdk._redact import Secrets
from connector_sdk._server import ConnectorServer, Setting
from connector_sdk._spool import SPOOL
from connector_sdk._start import Bootstrap
from connector_sdk._watch import TERM_GRACE_SECONDS, Watch


async def run(factory: Factory, bootstrap: Bootstrap, lifeline: int, secrets: Secrets) -> None:
    """Serve until the gateway is gone or asks for an end."""
    loop = asyncio.get_running_loop()
    ending: asyncio.Future[float] = loop.create_future()
    pulse = Pulse(loop)
    health = HealthSocket(bootstrap.health_socket)
    watch = Watch(
        lifeline,
        functools.partial(_tell, loop, ending, health),
        linger_seconds=bootstrap.linger_seconds if bootstrap.host_loss == "linger" else None,
        silent_seconds=pulse.silent_seconds,
    )
    watch.start()
    # Not `add_signal_handler`: that one waits for the event loop, which may be blocked.
    signal.signal(signal.SIGTERM, lambda *_: watch.end_within(TERM_GRACE_SECONDS))
    # Left by a process that was killed within an upload.
    shutil.rmtree(bootstrap.work_dir / SPOOL, ignore_errors=True)
    server = ConnectorServer(factory, _setting(bootstrap), secrets, watch.end_within, watch.held)
    await server.start()
    health.start()
    Watchdog(pulse, health.tell).start()
    report_ready(bootstrap, contract_digest())
    await server.stop(await ending)
    health.stop()
    # From here on only what the author left running could keep the process alive.
    watch.end_within(0.0)


def _setting(bootstrap: Bootstrap) -> Setting:
    return Setting(
        listener=SocketListener(bootstrap.socket),
        gateway_token=bootstrap.gateway_token,
        connector_token=bootstrap.connector_token,
        work_dir=bootstrap.work_dir,
    )


def _tell(
    loop: asyncio.AbstractEventLoop, ending: asyncio.Future[float], health: HealthSocket, grace_seconds: float
) -> None:
    health.drain()
    with suppress(RuntimeError):  # a loop that is closed has ended already
        loop.call_soon_threadsafe(_resolve, ending, grace_seconds)


def _resolve(ending: asyncio.Future[float], grace_seconds: float) -> None:
    if not ending.done():
        ending.set_result(grace_seconds)
