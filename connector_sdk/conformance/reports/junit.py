"""The report for CI, as JUnit's XML."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, tostring

from connector_sdk.conformance.result import Outcome, Report, Result

NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(report: Report) -> str:
    """Give the report as one test suite; advice is output of a test that passed."""
    counts = report.counts
    suite = Element(
        "testsuite",
        name=f"conformance of {_clean(report.target)}",
        tests=str(len(report.results)),
        failures=str(counts[Outcome.FAILED]),
        skipped=str(counts[Outcome.SKIPPED]),
        time=f"{report.seconds:.3f}",
    )
    for result in report.results:
        _add(suite, result)
    return tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _add(suite: Element, result: Result) -> None:
    case = SubElement(
        suite, "testcase", classname=result.check.group, name=result.check.id, time=f"{result.seconds:.3f}"
    )
    seen = _clean(result.seen)
    match result.outcome:
        case Outcome.FAILED:
            SubElement(case, "failure", message=seen).text = f"{result.check.sentence}\n{result.check.remedy}"
        case Outcome.SKIPPED:
            SubElement(case, "skipped", message=seen)
        case Outcome.ADVISED:
            SubElement(case, "system-out").text = f"{seen}\n{result.check.remedy}"
        case Outcome.PASSED:
            pass


def _clean(text: str) -> str:
    return NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
