"""What the exit status of the training program means; the numbers follow sysexits.h where it has one that fits."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

Reason = Literal[
    "OK",
    "USER_ERROR",
    "CONFIG_REJECTED",
    "OUT_OF_MEMORY",
    "EXIT_NONZERO",
    "PLATFORM_ERROR",
    "CANCELLED_BY_USER",
]
"""The `JobReason` names that the training program can give."""


class ExitCode(IntEnum):
    """Tell the parent process how the training ended, even when no record could be written."""

    OK = 0
    """The artifacts are in `output_dir`, whole."""
    CONFIG_REJECTED = 64
    """The spec or the training config cannot be used; nothing was loaded. As EX_USAGE."""
    BAD_DATA = 65
    """The dataset cannot be read or is not of a known shape. As EX_DATAERR."""
    MODEL_NOT_FOUND = 66
    """The base model is neither a model folder nor to be had from the hub. As EX_NOINPUT."""
    HARDWARE_UNAVAILABLE = 69
    """The config asks for hardware, or a library bound to it, that this machine lacks. As EX_UNAVAILABLE."""
    INTERNAL_ERROR = 70
    """Something unforeseen; the traceback is on stderr. As EX_SOFTWARE."""
    OUT_OF_MEMORY = 71
    """Memory of the machine or of the GPU ran out. As EX_OSERR."""
    IO_ERROR = 74
    """A folder of the job could not be written, for example because the disk is full. As EX_IOERR."""
    INTERRUPTED = 75
    """A signal asked it to stop; running the same spec with `resume` continues. As EX_TEMPFAIL."""


_REASONS: dict[ExitCode, Reason] = {
    ExitCode.OK: "OK",
    ExitCode.CONFIG_REJECTED: "CONFIG_REJECTED",
    ExitCode.BAD_DATA: "USER_ERROR",
    ExitCode.MODEL_NOT_FOUND: "USER_ERROR",
    ExitCode.HARDWARE_UNAVAILABLE: "CONFIG_REJECTED",
    ExitCode.INTERNAL_ERROR: "EXIT_NONZERO",
    ExitCode.OUT_OF_MEMORY: "OUT_OF_MEMORY",
    ExitCode.IO_ERROR: "PLATFORM_ERROR",
    ExitCode.INTERRUPTED: "CANCELLED_BY_USER",
}


def reason_of(exit_code: int) -> Reason:
    """Give the reason that stands for an exit status; a status that this program never uses is EXIT_NONZERO."""
    try:
        return _REASONS[ExitCode(exit_code)]
    except ValueError:
        return "EXIT_NONZERO"
