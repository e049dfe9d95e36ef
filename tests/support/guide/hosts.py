"""A name of the internet that leads to this machine, for programs that know nothing of it.

They run in a mount namespace with an `/etc/hosts` of their own, and trust an authority of the test's own by
`SSL_CERT_FILE`; the server has port 443 of a loopback address to itself.
"""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509

from tests.support.authority import Authority

HTTPS = 443
PROBE_SECONDS = 20
_WITH_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'


@dataclass(frozen=True)
class Hosts:
    """What a command needs to reach the server by its name."""

    prefix: tuple[str, ...]
    """Comes before the command."""
    certificates: Path
    """For `SSL_CERT_FILE`."""


@asynccontextmanager
async def serving(app: web.Application, name: str, folder: Path) -> AsyncIterator[Hosts]:
    """Serve an application under a name; skips the test where the machine does not allow that."""
    # Of its own for each process that runs tests, so that none is in another's way.
    address = f"127.{1 + os.getpid() // 250 % 250}.{1 + os.getpid() % 250}.1"
    prefix = _prefix(folder / "hosts", f"{address} {name}")
    authority = Authority(folder / "tls")
    authority.sign("server", x509.DNSName(name))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "tls" / "server.pem", folder / "tls" / "server.key")
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, address, HTTPS, ssl_context=context).start()
        except PermissionError as error:
            pytest.skip(f"port {HTTPS} cannot be used: {error}; run as root, or allow unprivileged ports")
        yield Hosts(prefix, folder / "tls" / "ca.pem")
    finally:
        await runner.cleanup()


def _prefix(hosts: Path, line: str) -> tuple[str, ...]:
    hosts.write_text(f"{Path('/etc/hosts').read_text()}\n{line}\n")
    rights = () if os.geteuid() == 0 else ("--map-root-user",)
    prefix = ("unshare", *rights, "--mount", "sh", "-c", _WITH_HOSTS, str(hosts))
    try:
        tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is missing: a name cannot be led to this machine without it (util-linux)")
    if tried.returncode:
        pytest.skip(f"a mount namespace is not allowed here: {tried.stderr.strip()}")
    return prefix
