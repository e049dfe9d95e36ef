"""What the exit code of every command means, and which error leads to which."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes, the same for all commands."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    AUTH = 5
    UNAVAILABLE = 6
    JOB_FAILED = 7
    JOB_CANCELLED = 8
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.ERROR: "any other error",
    ExitCode.USAGE: "the command line cannot be used",
    ExitCode.NOT_FOUND: "there is no such thing",
    ExitCode.REFUSED: "refused: invalid, or not possible in the present state",
    ExitCode.AUTH: "token or credentials not accepted, or not enough rights",
    ExitCode.UNAVAILABLE: "gateway or platform not available",
    ExitCode.JOB_FAILED: "the job failed",
    ExitCode.JOB_CANCELLED: "the job was cancelled",
    ExitCode.INTERRUPTED: "interrupted; the job, if there is one, goes on",
}

_BY_REASON: dict[str, ExitCode] = {
    "NOT_FOUND": ExitCode.NOT_FOUND,
    "CREDENTIALS_REJECTED": ExitCode.AUTH,
    "FORBIDDEN": ExitCode.AUTH,
    "INVALID_CONFIG": ExitCode.REFUSED,
    "INSUFFICIENT_CREDITS": ExitCode.REFUSED,
    "QUOTA": ExitCode.REFUSED,
    "NOT_READY": ExitCode.REFUSED,
    "WRONG_STATE": ExitCode.REFUSED,
    "REQUEST_ID_REUSED": ExitCode.REFUSED,
    "CURSOR_EXPIRED": ExitCode.REFUSED,
    "UNSUPPORTED": ExitCode.REFUSED,
    "NO_CAPACITY": ExitCode.UNAVAILABLE,
    "RATE_LIMITED": ExitCode.UNAVAILABLE,
    "OVERLOADED": ExitCode.UNAVAILABLE,
    "PLATFORM_UNAVAILABLE": ExitCode.UNAVAILABLE,
    "PLATFORM_TIMEOUT": ExitCode.UNAVAILABLE,
    "CONNECTOR_DOWN": ExitCode.UNAVAILABLE,
    # Where the gateway gave no reason, the gRPC code stands in for it.
    "UNAVAILABLE": ExitCode.UNAVAILABLE,
    "DEADLINE_EXCEEDED": ExitCode.UNAVAILABLE,
    "RESOURCE_EXHAUSTED": ExitCode.UNAVAILABLE,
    "UNAUTHENTICATED": ExitCode.AUTH,
    "PERMISSION_DENIED": ExitCode.AUTH,
    "INVALID_ARGUMENT": ExitCode.REFUSED,
    "FAILED_PRECONDITION": ExitCode.REFUSED,
    "UNIMPLEMENTED": ExitCode.REFUSED,
}


def exit_code_of(reason: str, code_name: str) -> ExitCode:
    """Return the exit code for a failed call."""
    return _BY_REASON.get(reason or code_name, ExitCode.ERROR)


def epilog_text() -> str:
    """Describe all exit codes for `--help`."""
    return "Exit codes: " + " · ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + "."
