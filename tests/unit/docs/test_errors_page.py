"""docs/errors.md against the contract and the two tables in the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connector_sdk.errors import CODE_OF_REASON
from gateway.api.status import CODES
from gateway.errors import Reason
from peftstudio.job.v1.error_reason_pb2 import ErrorReason

pytestmark = pytest.mark.unit

PAGE = (Path(__file__).parents[3] / "docs" / "errors.md").read_text()
ROWS = dict(re.findall(r"^\| ([A-Z_]+) \| ([A-Z_]+) \|", PAGE, re.MULTILINE))


def test_the_page_lists_every_reason_of_the_contract_with_the_code_that_the_gateway_uses() -> None:
    assert {reason.value: code.name for reason, code in CODES.items()} == ROWS


def test_the_gateway_knows_every_reason_of_the_contract() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.DESCRIPTOR.values_by_name} - {"UNSPECIFIED"}
    assert {reason.value for reason in Reason} == names


def test_connectors_use_the_same_codes_as_the_gateway() -> None:
    assert CODE_OF_REASON.items() <= ROWS.items()
