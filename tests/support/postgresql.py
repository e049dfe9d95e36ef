"""A real PostgreSQL server of the tests' own: in a temporary folder, on a unix socket, stopped and started at will."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psutil

START_SECONDS = 60.0
STOP_SECONDS = 30.0
USER = "peft"
LOCKED_USER = "locked"
"""Who needs a password, once such a role is made."""
UNPRIVILEGED = "nobody"
"""Who runs the server where the tests run as root, which it refuses."""

_CHEAP = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "shared_buffers": "16MB"}
"""What these tests are about is not whether PostgreSQL survives a power cut."""


def binaries() -> Path | None:
    """Return the folder of the server's programs; None = it is not installed."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class PostgreSQLServer:
    """One server and its folder."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    def initialise(self) -> None:
        if os.getuid() == 0:
            shutil.chown(self.folder, UNPRIVILEGED)
        # Names are sorted otherwise than Python does it, as on many people's servers.
        locale = ("--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8", "--encoding=UTF8")
        self._run("initdb", "--no-sync", "--auth=trust", f"--username={USER}", *locale, "-D", str(self.folder / "data"))
        access = self.folder / "data" / "pg_hba.conf"
        access.write_text(f"local all {LOCKED_USER} scram-sha-256\n{access.read_text()}")

    def start(self) -> None:
        settings = [f"--{name}={value}" for name, value in _CHEAP.items()]
        command = [*_unprivileged(), str(self._programs / "postgres"), "-D", str(self.folder / "data")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-k", str(self.folder), "--listen_addresses=", *settings],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while self._run("pg_isready", "-h", str(self.folder), "-U", USER, check=False):
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, as an operator's restart does: sessions are cut."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(STOP_SECONDS)

    def processes(self) -> list[int]:
        """Return the server's process and those of its sessions."""
        assert self._process is not None
        return [self._process.pid, *(child.pid for child in psutil.Process(self._process.pid).children())]

    def create(self, template: str = "template1") -> str:
        """Make a database and return its name."""
        name = f"test_{uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, database: str) -> None:
        self.sql(f"DROP DATABASE {database} WITH (FORCE)")

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement as an operator would, and return what psql prints of the rows."""
        command = ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-U", USER]
        done = subprocess.run(
            [str(self._programs / command[0]), *command[1:], "-d", database, "-c", statement],
            check=True,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
        return done.stdout.strip()

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        done = subprocess.run(
            [*_unprivileged(), str(self._programs / program), *arguments],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        assert not (check and done.returncode), done.stdout + done.stderr
        return done.returncode


@contextmanager
def postgresql_server(programs: Path) -> Iterator[PostgreSQLServer]:
    """Run a server, and leave nothing of it behind."""
    # Not in pytest's folder: that is the user's alone, and its path too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="peft-pg-"))
    server = PostgreSQLServer(programs, folder)
    try:
        server.initialise()
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> list[str]:
    # A program, because Python would have to fork for it, which gRPC's threads within the tests do not survive.
    return ["setpriv", f"--reuid={UNPRIVILEGED}", "--clear-groups"] if os.getuid() == 0 else []
