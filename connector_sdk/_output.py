"""Let stdout and stderr outlive whoever reads them: a pipe without a reader swallows what is written to it."""

from __future__ import annotations

import io
import os
import sys

STDOUT, STDERR = 1, 2
OUTPUTS = (STDOUT, STDERR)


class Unbreakable(io.FileIO):
    """A descriptor that is written to, whether or not somebody reads it."""

    def write(self, data: object, /) -> int:
        """Write; what nobody can read any more counts as written."""
        try:
            return super().write(data)  # type: ignore[arg-type]  # the buffer type has no name before Python 3.12
        except BrokenPipeError:
            give_up(self.fileno())
            return memoryview(data).nbytes  # type: ignore[arg-type]


def make_unbreakable() -> None:
    """Replace the process's `sys.stdout` and `sys.stderr`. Lines are written as soon as they end."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            io.BufferedWriter(Unbreakable(descriptor, "w", closefd=False)),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        for descriptor in OUTPUTS
    )


def give_up(descriptor: int) -> None:
    """Send what is written to the descriptor nowhere, so that children of this process are not ended by it either."""
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), descriptor, inheritable=True)
