"""docs/conformance.md against the checks and the command line that it describes."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path

import pytest

from connector_sdk.cli.checking import add_check
from connector_sdk.conformance import CHECKS
from connector_sdk.conformance.reports.page import with_list

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"


def test_the_page_lists_every_check_as_it_is() -> None:
    told = PAGE.read_text()
    words = "run: python -m connector_sdk.conformance.reports.page docs/conformance.md"
    assert told == with_list(told, CHECKS), words


def test_there_are_many_checks_each_with_an_id_a_sentence_and_a_remedy() -> None:
    assert len(CHECKS) >= 90
    assert [one for one, count in Counter(check.id for check in CHECKS).items() if count > 1] == []
    for check in CHECKS:
        assert re.fullmatch(r"[a-z]+\.[a-z0-9_]+", check.id), check.id
        assert check.sentence.endswith("."), check.id
        assert check.remedy.endswith((".", "…")), check.id


def test_the_page_names_every_option_of_the_command() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    add_check(commands)
    help_text = commands.choices["check"].format_help()
    options = set(re.findall(r"--[a-z-]+", help_text)) - {"--help"}
    assert options <= set(re.findall(r"--[a-z-]+", PAGE.read_text()))
