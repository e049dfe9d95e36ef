"""Running a command: a client for it, and an exit code and one clear line for everything that can go wrong."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from gateway.cli.exit_codes import ExitCode, exit_code_of

if TYPE_CHECKING:
    from gateway.client import Client, ClientError

DEBUG_VARIABLE = "PEFTSTUDIO_DEBUG"


class CommandError(Exception):
    """Raised when a command cannot go on; the text is the line that is printed."""

    def __init__(self, message: str, code: ExitCode = ExitCode.ERROR) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which gateway to call, as the options before the command say."""

    address: str | None = None
    token_file: Path | None = None
    data_dir: Path | None = None
    ca_file: Path | None = None


def run(context: typer.Context, action: Callable[[Client], Awaitable[None]]) -> None:
    """Run a command against the gateway, and leave with the exit code that fits whatever happens."""
    with reporting():
        asyncio.run(_with_client(context.obj or Target(), action))


@contextmanager
def reporting() -> Iterator[None]:
    """Turn every error of a command into lines on stderr and an exit code."""
    # The C core writes notices of its own to stderr otherwise.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from gateway.client import ClientError

    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except CommandError as error:
        fail(str(error), error.code, error)
    except ClientError as error:
        fail(_lines(error), _code(error), error)
    except TimeoutError as error:
        fail(str(error) or "it took too long", ExitCode.ERROR, error)


def fail(message: str, code: ExitCode, cause: Exception) -> NoReturn:
    """Print what went wrong and leave."""
    if os.environ.get(DEBUG_VARIABLE):
        raise cause

    for line in message.splitlines():
        sys.stderr.write(f"peftstudio: {line}\n")

    raise typer.Exit(code) from None


async def _with_client(target: Target, action: Callable[[Client], Awaitable[None]]) -> None:
    from gateway.client import Client

    async with Client(
        target.address, token_file=target.token_file, data_dir=target.data_dir, ca_file=target.ca_file
    ) as client:
        await action(client)


@asynccontextmanager
async def detaching(job_id: str) -> AsyncIterator[None]:
    """Say on an interruption that the job goes on, and what can be done with it."""
    try:
        yield
    except asyncio.CancelledError:
        sys.stderr.write(
            f"\ndetached; job {job_id} goes on\n"
            f"  follow it: peftstudio jobs logs {job_id} -f\n"
            f"  cancel it: peftstudio jobs cancel {job_id}\n"
        )
        raise


def _lines(error: ClientError) -> str:
    from gateway.client import GatewayCallError, InvalidConfigError

    if isinstance(error, GatewayCallError | InvalidConfigError) and error.violations:
        return "\n".join(map(str, error.violations))

    return str(error)


def _code(error: ClientError) -> ExitCode:
    from gateway.client import GatewayCallError, InvalidConfigError, NoGatewayError

    match error:
        case GatewayCallError():
            return exit_code_of(error.reason, error.code.name)
        case InvalidConfigError():
            return ExitCode.REFUSED
        case NoGatewayError():
            return ExitCode.UNAVAILABLE
        case _:
            return ExitCode.ERROR
