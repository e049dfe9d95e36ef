"""The report for programs."""

from __future__ import annotations

import json

from connector_sdk.conformance.result import Outcome, Report


def as_json(report: Report) -> str:
    """Give the report as one JSON object."""
    checks = [
        {
            "id": result.check.id,
            "outcome": result.outcome,
            "sentence": result.check.sentence,
            "remedy": result.check.remedy,
            "seen": result.seen,
            "seconds": round(result.seconds, 3),
        }
        for result in report.results
    ]
    counts = {outcome: report.counts[outcome] for outcome in Outcome}
    told = {"target": report.target, "conforms": report.is_good, "seconds": round(report.seconds, 3), "counts": counts}
    return json.dumps({**told, "checks": checks}, indent=2) + "\n"
