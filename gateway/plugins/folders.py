"""Where a connector's processes live: a private folder that stays, and short-lived sockets.

`<data dir>/instances/<id>` is the working directory and keeps the generation's number. The socket is elsewhere, because
a socket's path may have 107 bytes and a data directory's may have more:
`$XDG_RUNTIME_DIR/peft-<data dir's hash>/<id's hash>/<generation>.sock`. A path of its own per process keeps gRPC from
reaching, or remembering the failure of, the process before (grpc#21089).
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway.errors import GatewayError, Reason

MAX_SOCKET_PATH_BYTES = 100
"""The kernel allows 107, macOS 103."""

_STATE = "process-"


class UnusableFolder(GatewayError):
    """Raised when a folder cannot hold what must be in it."""

    reason = Reason.STORAGE_FULL


def _short(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Folders:
    """Finds the folders of all connectors of one gateway."""

    data_dir: Path
    runtime_root: Path

    @classmethod
    def of(cls, data_dir: Path, runtime_dir: str | None = None) -> Folders:
        """Choose the folders; `runtime_dir` is what XDG_RUNTIME_DIR says.

        Raises:
            UnusableFolder: Sockets would have too long a path.

        """
        base = Path(runtime_dir) if runtime_dir and os.access(runtime_dir, os.W_OK) else Path(tempfile.gettempdir())
        folders = cls(data_dir, base / f"peft-{_short(str(data_dir.resolve()))}")
        longest = os.fsencode(folders.socket("any", 99_999_999))
        if len(longest) > MAX_SOCKET_PATH_BYTES:
            raise UnusableFolder(
                f"the path of a socket would have {len(longest)} bytes, more than {MAX_SOCKET_PATH_BYTES}: "
                f"{os.fsdecode(longest)}; set XDG_RUNTIME_DIR or TMPDIR to a shorter folder"
            )
        return folders

    def work_dir(self, connector_id: str) -> Path:
        """Return the working directory of a connector."""
        return self.data_dir / "instances" / connector_id

    def socket(self, connector_id: str, generation: int) -> Path:
        """Return the path of the socket of one process."""
        return self.runtime_root / _short(connector_id) / f"{generation}.sock"

    def prepare(self, connector_id: str, generation: int) -> Path:
        """Make the folders of a process that is about to start and return its socket's path."""
        socket = self.socket(connector_id, generation)
        self.work_dir(connector_id).mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.runtime_root, socket.parent):
            _make_private(folder)
        _unlink(socket)
        return socket

    def sweep(self, connector_id: str) -> None:
        """Remove the sockets that an earlier gateway's processes left, but for those that may still live."""
        alive = {file.stem.removeprefix(_STATE) for file in self.state_files(connector_id)}
        for socket in self.socket(connector_id, 0).parent.glob("*.sock"):
            if socket.stem not in alive:
                _unlink(socket)

    def clear(self, connector_id: str, generation: int) -> None:
        """Remove what is left of a process that ended."""
        socket = self.socket(connector_id, generation)
        _unlink(socket)
        # Another connector may still have its folder there.
        with contextlib.suppress(OSError):
            socket.parent.rmdir()
            self.runtime_root.rmdir()

    def last_generation(self, connector_id: str) -> int:
        """Return the number of the last process; it grows over all lives of the gateway."""
        try:
            return int((self.work_dir(connector_id) / "generation").read_text())
        except (OSError, ValueError):
            return 0

    def note_generation(self, connector_id: str, generation: int) -> None:
        """Keep the number of a process that is about to start."""
        write_private(self.work_dir(connector_id) / "generation", f"{generation}\n".encode())

    def state_file(self, connector_id: str, generation: int) -> Path:
        """Return the file that tells the next gateway of a process that outlives this one."""
        return self.work_dir(connector_id) / f"{_STATE}{generation}.json"

    def state_files(self, connector_id: str) -> list[Path]:
        """Return those that are there; there are two where a version was just being exchanged for another."""
        return sorted(self.work_dir(connector_id).glob(f"{_STATE}*.json"))

    def pin_file(self, connector_id: str) -> Path:
        """Return the file with the digest that a connector must have in strict mode."""
        return self.work_dir(connector_id) / "pinned-digest"

    def bootstrap_file(self, connector_id: str) -> Path:
        """Return the file with the bootstrap of a process that its author starts."""
        return self.work_dir(connector_id) / "bootstrap.json"

    def log_file(self, connector_id: str) -> Path:
        """Return the file into which a process prints that outlives its gateway."""
        return self.work_dir(connector_id) / "output.log"

    def flight(self, connector_id: str) -> Path:
        """Return the folder of the records of deaths."""
        return self.data_dir / "flight" / connector_id


def write_private(path: Path, content: bytes) -> None:
    """Replace a file, readable by its owner alone, so that a reader finds the old content or the new, and whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _unlink(socket: Path) -> None:
    for left in (socket, socket.with_name(socket.name + ".health")):
        left.unlink(missing_ok=True)


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UnusableFolder(f"{folder} belongs to somebody else; remove it or set XDG_RUNTIME_DIR")
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
