"""`python -m connector_sdk.conformance.reports.page FILE`: write the list of checks into a page, behind its mark."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from connector_sdk.conformance.check import Check

MARK = "<!-- generated: checks -->\n"


def with_list(page: str, checks: Sequence[Check]) -> str:
    """Give the page with the present list of checks behind its mark."""
    before, mark, _ = page.partition(MARK)
    if not mark:
        raise ValueError(f"the page has no line {MARK.strip()}")
    return before + mark + "\n".join(_section(group, list(found)) for group, found in groupby(checks, _group))


def _group(check: Check) -> str:
    return check.group


def _section(group: str, checks: Sequence[Check]) -> str:
    rows = "".join(f"| `{one.id}` | {_cell(one.sentence)} | {_cell(one.remedy)} |\n" for one in checks)
    return f"### {group}\n| id | what holds | what to do where it does not |\n|---|---|---|\n{rows}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    from connector_sdk.conformance.registry import CHECKS

    path = Path(sys.argv[1])
    path.write_text(with_list(path.read_text(encoding="utf-8"), CHECKS), encoding="utf-8")
