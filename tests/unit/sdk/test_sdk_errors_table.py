"""The table of reasons."""

import grpc
import pytest

import connector_sdk as sdk
from connector_sdk._redact import Secrets
from connector_sdk._violations import violations_of
from connector_sdk.errors import CODE_OF_REASON
from peftstudio.job.v1.error_reason_pb2 import ErrorReason

pytestmark = pytest.mark.unit

ERRORS = [
    error
    for error in vars(sdk).values()
    if isinstance(error, type) and issubclass(error, sdk.ConnectorError) and error is not sdk.ConnectorError
]


@pytest.mark.parametrize("reason", CODE_OF_REASON)
def test_every_reason_is_one_of_the_contract_and_has_a_real_code(reason: str) -> None:
    assert ErrorReason.Value(f"ERROR_REASON_{reason}")
    assert grpc.StatusCode[CODE_OF_REASON[reason]]


def test_every_reason_of_the_table_has_exactly_one_class() -> None:
    assert sorted(error.reason for error in ERRORS) == sorted(CODE_OF_REASON)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (None, []),
        (True, []),
        ([], []),
        ("", []),
        (False, [("", "The connector does not accept this configuration.")]),
        ("bad", [("", "bad")]),
        (["a", "b"], [("", "a"), ("", "b")]),
        ({"rank": "too high"}, [("rank", "too high")]),
        ((False, "bad"), [("", "bad")]),
        ((True, ""), []),
        (ValueError("bad"), [("", "bad")]),
        ([sdk.FieldViolation(field="rank", description="too high")], [("rank", "too high")]),
    ],
)
def test_every_way_to_say_that_a_configuration_is_wrong_is_understood(
    verdict: object, words: list[tuple[str, str]]
) -> None:
    assert [(violation.field, violation.description) for violation in violations_of(verdict)] == words


def test_secrets_are_hidden_in_every_spelling_until_they_are_forgotten() -> None:
    secrets = Secrets()
    secrets.remember("c1", ["a b/c+d", "ab", 'quo"te'])
    assert secrets.redact('x a b/c+d a%20b%2Fc%2Bd quo\\"te ab') == "x [redacted] [redacted] [redacted] ab"
    secrets.forget("c1")
    assert secrets.redact("a b/c+d") == "a b/c+d"
