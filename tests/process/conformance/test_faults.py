"""Connectors with one fault each are caught, each by the check that is about it."""

from __future__ import annotations

import pytest

from connector_sdk.conformance import Outcome
from tests.support.conformance import check, conforming, ids

pytestmark = pytest.mark.process

CAUGHT_BY = {
    "prints-into-handshake": "handshake.json",
    "keeps-handshake": "handshake.closed",
    "other-pid": "handshake.pid",
    "any-protocol": "versions.refused",
    "exits-well": "versions.exit_code",
    "open-socket": "socket.mode",
    "keeps-stale": "socket.stale",
    "no-health": "handshake.ready",
    "open": "tokens.missing",
    "part-of-token": "tokens.part",
    "wrong-proof": "tokens.proof",
    "no-proof-on-errors": "tokens.proof_on_errors",
    "strange-schema": "schemas.credentials",
    "not-connected-otherwise": "connections.before",
    "closes-once": "connections.unknown_closed",
    "claims-too-much": "capabilities.declared",
    "hides-pause": "capabilities.undeclared",
    "names-nothing": "capabilities.named",
    "starts-twice": "jobs.keyed",
    "starts-dry": "jobs.dry_run",
    "cancels-once": "jobs.cancel_ended",
    "unordered": "logs.ordered",
    "endless": "logs.end",
    "line-ends": "logs.text",
    "resumes-late": "logs.resumed",
    "repeats-metrics": "metrics.resumed",
    "wrong-checksum": "artifacts.sha256",
    "holes": "artifacts.contiguous",
    "ignores-offset": "artifacts.ranges",
    "ignores-etag": "artifacts.etag",
    "climbs-out": "artifacts.paths",
    "trusts-uploads": "uploads.verified",
    "odd-currency": "prices.currency",
    "answers-for-unknown": "unknown.status",
    "crashes-on-emoji": "values.unicode",
    "ignores-cancellation": "cancellation.stops",
    "leaks-credentials": "secrets.errors",
    "prints-credentials": "secrets.output",
    "stores-credentials": "secrets.files",
    "ignores-sigterm": "ending.terminated",
    "outlives-gateway": "ending.lifeline",
    "ends-when-cut": "ending.drained",
    "never-ends": "ending.shutdown",
}
"""The fault of a connector, and the check that is to catch it."""

SEEN_IN_ERRORS = {
    "traceback": "errors.traces",
    "wrong-code": "errors.codes",
    "long-errors": "errors.size",
    "foreign-domain": "errors.domain",
}
"""Faults that show in whatever errors the checks before have brought."""


@pytest.mark.parametrize("fault", CAUGHT_BY)
async def test_a_fault_is_caught_by_its_check(fault: str) -> None:
    expected = CAUGHT_BY[fault]
    report = await check(conforming(fault, only=[expected]))
    assert set(ids(report, Outcome.FAILED)) == {expected}, ids(report, *Outcome)


@pytest.mark.parametrize("fault", SEEN_IN_ERRORS)
async def test_a_fault_of_errors_is_caught_in_those_that_came(fault: str) -> None:
    report = await check(conforming(fault, only=["unknown", "errors"]))
    assert set(ids(report, Outcome.FAILED)) == {SEEN_IN_ERRORS[fault]}, ids(report, *Outcome)


@pytest.mark.parametrize(("faults", "seen"), [(["keeps-files"], {"cancellation.frees"}), ([], set())])
async def test_what_is_kept_for_each_stream_is_told_of(faults: list[str], seen: set[str]) -> None:
    report = await check(conforming(*faults, only=["cancellation.frees"]))
    assert set(ids(report, Outcome.ADVISED)) == seen, ids(report, *Outcome)


async def test_a_connector_that_dies_is_replaced_for_the_next_checks() -> None:
    report = await check(conforming("crashes-on-emoji", only=["values.unicode", "values.empty"]))
    assert "ended with code 1" in ids(report, Outcome.FAILED)["values.unicode"]
    assert set(ids(report, Outcome.PASSED)) == {"values.empty"}
