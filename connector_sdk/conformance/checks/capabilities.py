"""Capabilities are what is declared, no more and no less."""

from __future__ import annotations

import secrets

import grpc

from connector_sdk.conformance.check import SkippedCheck, check, expect
from connector_sdk.conformance.methods import OPTIONAL, REQUIRED
from connector_sdk.conformance.refusal import Refusal
from connector_sdk.conformance.trial import Trial

UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED


@check(
    "capabilities.required", remedy="Implement the methods that need no capability; an empty list is an answer, too."
)
async def required(trial: Trial) -> None:
    """The methods that every connector has are there."""
    connection, wire = await trial.connection(), await trial.wire()
    for name, make in REQUIRED.items():
        refusal = await wire.refusal(make(connection, _nothing()))
        expect(refusal is None or refusal.code is not UNIMPLEMENTED, f"{name}: {refusal}")


@check("capabilities.declared", remedy="Declare what you implement, and nothing else.")
async def declared(trial: Trial) -> None:
    """No method that is declared answers UNIMPLEMENTED."""
    connection, wire = await trial.connection(), await trial.wire()
    names = [name for name in (await trial.description()).capabilities if name in OPTIONAL]
    if not names:
        raise SkippedCheck("it declares no method")
    for name in names:
        refusal = await wire.refusal(OPTIONAL[name](connection, _nothing()))
        expect(refusal is None or refusal.code is not UNIMPLEMENTED, f"{name} is declared: {refusal}")


@check("capabilities.undeclared", remedy="Answer UNIMPLEMENTED to methods that are not declared, or declare them.")
async def undeclared(trial: Trial) -> None:
    """Every method that is not declared answers UNIMPLEMENTED."""
    for name, refusal in await _undeclared(trial):
        expect(refusal is not None, f"{name} is not declared, and was answered")
        assert refusal
        expect(refusal.code is UNIMPLEMENTED, f"{name} is not declared: {refusal}")


@check(
    "capabilities.named",
    remedy="Answer UNSUPPORTED, and name the capability in the message or the ErrorInfo's metadata.",
)
async def named(trial: Trial) -> None:
    """Who calls a method that is not declared is told which capability is missing."""
    for name, refusal in await _undeclared(trial):
        if refusal is not None:
            told = refusal.message + "".join(str(info.metadata) for info in refusal.infos)
            camel = name.replace("_", "").lower()
            is_named = name in told or camel in told.replace("_", "").lower()
            expect(is_named, f"{name} is not named: {refusal}")


async def _undeclared(trial: Trial) -> list[tuple[str, Refusal | None]]:
    connection, wire = await trial.connection(), await trial.wire()
    said = frozenset((await trial.description()).capabilities)
    found = [
        (name, await wire.refusal(make(connection, _nothing()))) for name, make in OPTIONAL.items() if name not in said
    ]
    if not found:
        raise SkippedCheck("it declares everything")
    return found


def _nothing() -> str:
    """Name something that is not there."""
    return f"conformance-{secrets.token_hex(4)}"
