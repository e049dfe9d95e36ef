"""Secrets are nowhere but in the connector's memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

from connector_sdk.conformance import system
from connector_sdk.conformance.check import FailedCheck, SkippedCheck, check
from connector_sdk.conformance.forms import secret_names, secrets_in
from connector_sdk.conformance.trial import Trial
from peftstudio.connector.v1 import connector_service_pb2 as pb

SHORTEST = 8  # shorter values are found anywhere by chance
LARGEST_FILE_BYTES = 4 * 1024 * 1024


@check(
    "secrets.errors", remedy="Blot credentials out of every message, also out of those that the platform sends back."
)
async def errors(trial: Trial) -> None:
    """No error has a credential or a token in it, neither one that is accepted nor one that is refused."""
    await _use(trial)
    for one in trial.seen.refusals:
        await _expect_none(trial, one.raw, f"the error of {one.method}")


@check("secrets.output", remedy="Never log credentials, tokens, headers or requests as a whole.")
async def output(trial: Trial) -> None:
    """Nothing that the connector prints has a credential or a token in it."""
    await _use(trial)
    await _expect_none(trial, (await trial.process()).output(), "the output")


@check("secrets.arguments", remedy="Hand secrets to children over a pipe, never as arguments.")
async def arguments(trial: Trial) -> None:
    """No argument list of the connector's processes has a credential or a token in it."""
    process = await trial.process()
    await _use(trial)
    for pid in system.session(process.pid):
        await _expect_none(trial, system.arguments(pid), f"the argument list of process {pid}")


@check("secrets.environment", remedy="Hand secrets to children over a pipe, never in their environment.")
async def environment(trial: Trial) -> None:
    """No environment of the connector's processes has a credential or a token in it."""
    process = await trial.process()
    await _use(trial)
    for pid in system.session(process.pid):
        await _expect_none(trial, system.environment(pid), f"the environment of process {pid}")


@check("secrets.files", remedy="Keep credentials in memory: the gateway hands them over again after every start.")
async def files(trial: Trial) -> None:
    """No file in the connector's folders has a credential or a token in it."""
    await trial.process()
    await _use(trial)
    for path in _files(trial.work_dir):
        if path.stat().st_size <= LARGEST_FILE_BYTES:
            await _expect_none(trial, path.read_bytes(), str(path.relative_to(trial.work_dir)))


async def _use(trial: Trial) -> None:
    """Let credentials that are accepted, and the canary, pass through calls, if they did not before."""

    async def use() -> None:
        with suppress(SkippedCheck):
            await trial.connection()
        schema, accepted = (await trial.description()).credentials_schema, trial.options.credentials.accepted
        names = secret_names(schema) or list(secrets_in(schema, accepted)) or ["api_key"]
        values = {**accepted, **dict.fromkeys(names, trial.canary)}
        wire = await trial.wire()
        await wire.refusal(pb.ConnectRequest(connection_id="conformance-6", credentials=values))
        await wire.refusal(pb.DisconnectRequest(connection_id="conformance-6"))

    await trial.facts.get("a canary", use)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


async def _secrets(trial: Trial) -> AsyncIterator[tuple[str, str]]:
    yield "the canary", trial.canary
    schema, given = (await trial.description()).credentials_schema, trial.options.credentials
    for credentials in (given.accepted, given.rejected or {}):
        for name, value in secrets_in(schema, credentials).items():
            if len(value) >= SHORTEST:
                yield f"the credential {name}", value
    for token in trial.tokens:
        yield "a token", token


async def _expect_none(trial: Trial, data: bytes, place: str) -> None:
    async for name, value in _secrets(trial):
        if value.encode() in data:
            raise FailedCheck(f"{place} has {name} in it")
