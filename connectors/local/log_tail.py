"""Follow the two log files of a job line by line, from any place on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from connector_sdk.errors import CursorExpiredError
from connector_sdk.models import LogRecord
from connectors.local.job_folder import JobFolder

READ_BYTES = 256 * 1024  # at a time and file; a line that is longer is cut there

Stream = Literal["stdout", "stderr"]


class LogTail:
    """Read what the logs of one job have behind a cursor: `<bytes of stdout>:<bytes of stderr>`."""

    def __init__(self, folder: JobFolder, cursor: str) -> None:
        """Start behind `cursor`; raises `CursorExpiredError` for one that the files do not reach."""
        self._paths: dict[Stream, Path] = {"stdout": folder.stdout_log, "stderr": folder.stderr_log}
        self._offsets: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        if cursor:
            self._continue_behind(cursor)

    def read(self, is_final: bool) -> list[LogRecord]:
        """Give the whole lines that came since, and with `is_final` also a last one without its end."""
        return [record for stream in self._paths for record in self._read_one(stream, is_final)]

    def _read_one(self, stream: Stream, is_final: bool) -> Iterator[LogRecord]:
        with self._paths[stream].open("rb") as file:
            file.seek(self._offsets[stream])
            data = file.read(READ_BYTES)
        whole = data.rfind(b"\n") + 1
        if not whole and (is_final or len(data) == READ_BYTES):
            whole = len(data)
        for line in _lines(data[:whole]):
            self._offsets[stream] += len(line)
            text = line.removesuffix(b"\n").decode("utf-8", "replace")
            yield LogRecord(text=text, stream=stream, cursor=self._cursor())

    def _cursor(self) -> str:
        return f"{self._offsets['stdout']}:{self._offsets['stderr']}"

    def _continue_behind(self, cursor: str) -> None:
        out, _, err = cursor.partition(":")
        if not (out.isdecimal() and err.isdecimal()):
            raise CursorExpiredError(f"{cursor!r} is no cursor of this log; start again without one.")
        self._offsets = {"stdout": int(out), "stderr": int(err)}
        for stream, path in self._paths.items():
            if path.stat().st_size < self._offsets[stream]:
                raise CursorExpiredError("The log is shorter than the cursor says; start again without one.")


def _lines(data: bytes) -> list[bytes]:
    """Split at line feeds only: a carriage return is part of the line that it rewrites."""
    pieces = data.split(b"\n")
    last = pieces.pop()
    return [piece + b"\n" for piece in pieces] + ([last] if last else [])
