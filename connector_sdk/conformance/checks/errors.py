"""Every error that the run has seen."""

from __future__ import annotations

import re
from collections.abc import Iterator

import grpc

from connector_sdk.conformance.check import SkippedCheck, advise, check, expect
from connector_sdk.conformance.refusal import Refusal
from connector_sdk.conformance.trial import Trial
from connector_sdk.errors import CODE_OF_REASON, DOMAIN
from peftstudio.job.v1.error_reason_pb2 import ErrorReason

PREFIX = "ERROR_REASON_"
REASONS = frozenset(name.removeprefix(PREFIX) for name in ErrorReason.keys()) - {"UNSPECIFIED"}  # noqa: SIM118 - no dict
LONGEST_DETAILS_BYTES = 4096
TRACES = (
    re.compile(rb"Traceback \(most recent call last\)"),
    re.compile(rb'File "[^"]+", line \d+'),
    re.compile(rb"\n\s+at .+:\d+:\d+"),  # JavaScript
    re.compile(rb"goroutine \d+ \["),  # Go
    re.compile(rb"\n\s+at [\w.$]+\([\w.]+:\d+\)"),  # Java
    re.compile(rb"thread '.*' panicked at"),  # Rust
)
OF_GRPC = frozenset(
    {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.DEADLINE_EXCEEDED}
    | {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED}
)
"""Codes that gRPC's own machinery ends calls with, without details."""


@check("errors.details", remedy="End calls with a google.rpc.Status that has one ErrorInfo: docs/errors.md.")
async def details(trial: Trial) -> None:
    """A failed call has one ErrorInfo with a reason."""
    for one in _seen(trial):
        if one.code not in OF_GRPC:
            expect(len(one.infos) == 1, f"{len(one.infos)} ErrorInfo: {one}")


@check("errors.domain", remedy=f"The domain of every ErrorInfo is {DOMAIN}.")
async def domain(trial: Trial) -> None:
    """The domain of every ErrorInfo is that of the contract."""
    for one in _seen(trial):
        for info in one.infos:
            expect(info.domain == DOMAIN, f"the domain is {info.domain!r}: {one}")


@check("errors.reasons", remedy="Use the names of ErrorReason without its prefix: NOT_FOUND, RATE_LIMITED …")
async def reasons(trial: Trial) -> None:
    """Every reason is one of the contract's."""
    for one in _told(trial):
        expect(one.reason in REASONS, f"there is no reason {one.reason!r}: {one}")


@check("errors.codes", remedy="Give each reason the gRPC code that the table in docs/errors.md has beside it.")
async def codes(trial: Trial) -> None:
    """Every error has the gRPC code that its reason has in the table."""
    for one in _told(trial):
        expected = CODE_OF_REASON.get(one.reason, one.code.name)
        expect(one.code.name == expected, f"{one.reason} has code {expected}: {one}")


@check("errors.traces", remedy="Keep the traceback in your log, under an id, and tell the caller the id.")
async def traces(trial: Trial) -> None:
    """No error has a traceback."""
    for one in _seen(trial):
        expect(not any(trace.search(one.raw) for trace in TRACES), f"there is one: {one}")


@check("errors.size", remedy="Cut messages and values that come from elsewhere; gRPC ends calls with long trailers.")
async def size(trial: Trial) -> None:
    """The details of an error have at most 4 KiB."""
    for one in _seen(trial):
        expect(one.status.ByteSize() <= LONGEST_DETAILS_BYTES, f"there are {one.status.ByteSize()} bytes: {one}")


@check("errors.words", remedy="Say in one sentence what happened and what to do.")
async def words(trial: Trial) -> None:
    """Every error has a message."""
    for one in _seen(trial):
        expect(bool(one.message.strip()), f"there is none: {one}")


@check("errors.agree", remedy="Put the same code and message into the details as into the call's status.")
async def agree(trial: Trial) -> None:
    """The code in the details is the call's."""
    for one in _told(trial):
        code: tuple[int, str] = one.code.value
        expect(one.status.code == code[0], f"the details have code {one.status.code}: {one}")


@check("errors.bugs", remedy="Map the exceptions of your platform's client; see the connector's log for the traceback.")
async def bugs(trial: Trial) -> None:
    """Nothing that the run did came upon a bug."""
    found = [one for one in _seen(trial) if one.reason in ("CONNECTOR_BUG", "GATEWAY_BUG")]
    advise(not found, f"{len(found)} calls did, first: {found[0] if found else ''}")


def _seen(trial: Trial) -> list[Refusal]:
    if not trial.seen.refusals:
        raise SkippedCheck("no call failed")
    return trial.seen.refusals


def _told(trial: Trial) -> Iterator[Refusal]:
    return (one for one in _seen(trial) if one.infos)
