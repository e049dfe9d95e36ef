"""The report for people."""

from __future__ import annotations

from dataclasses import replace

from connector_sdk.conformance.result import Outcome, Report, Result

WORDS = {Outcome.PASSED: "ok", Outcome.FAILED: "FAILED", Outcome.ADVISED: "advice", Outcome.SKIPPED: "skipped"}


class Printed:
    """The lines of a run, one check after the other; a reason to skip is told in full once."""

    def __init__(self) -> None:
        """Know no reason yet."""
        self._reason = ""

    def line(self, result: Result) -> str:
        """Give the lines of one check."""
        if result.outcome is not Outcome.SKIPPED:
            return line(result)
        is_known, self._reason = result.seen == self._reason, result.seen
        return line(replace(result, seen="for the same reason")) if is_known else line(result)


def line(result: Result) -> str:
    """Give the lines of one check."""
    told = f"{WORDS[result.outcome]:<8}{result.check.id:<28}{result.check.sentence}"
    if result.outcome is Outcome.SKIPPED:
        return f"{WORDS[result.outcome]:<8}{result.check.id:<28}{result.seen}"
    if result.outcome is Outcome.PASSED:
        return told
    return f"{told}\n{'':8}seen:   {result.seen}\n{'':8}remedy: {result.check.remedy}"


def summary(report: Report) -> str:
    """Give the last line."""
    counts = report.counts
    parts = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome)
    verdict = "conforms" if report.is_good else "does not conform"
    return f"{report.target} {verdict}: {parts}, in {report.seconds:.1f} s"
