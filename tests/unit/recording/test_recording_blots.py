"""Secrets in every form, and what is left of the text around them."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connector_sdk.testing.recording.blots import Blots
from tests.support.canaries import CORES, FORMS, SECRETS, is_in

pytestmark = pytest.mark.unit


@given(secret=SECRETS, form=st.sampled_from(sorted(FORMS)), before=st.sampled_from(["", "id=", "é "]), core=CORES)
@example(secret='a-secret/with+all=of"it\\', form="JSON in a URL", before="", core="")
def test_a_secret_is_blotted_out_in_every_form(secret: str, form: str, before: str, core: str) -> None:
    secret = secret + core
    said = f"{before}{FORMS[form](secret)}&behind"
    assert not core or is_in(core, said), "the form cannot be seen through"
    blotted = Blots([("api_key", secret)]).text(said)
    assert "REDACTED-api_key" in blotted
    assert not core or not is_in(core, blotted)
    assert blotted.startswith(before)
    assert blotted.endswith("behind")


@given(core=CORES, other=CORES, form=st.sampled_from(sorted(set(FORMS) - {"base64 of JSON"})))
def test_another_secret_leaves_the_same_text(core: str, other: str, form: str) -> None:
    then, now = (Blots([("api_key", secret)]).text(f"x={FORMS[form](secret)}") for secret in (core, other))
    assert then == now


@given(data=st.binary(max_size=200))
def test_what_holds_no_secret_is_left_as_it_is(data: bytes) -> None:
    assert Blots([("api_key", "a-secret-of-the-test")])(data) == data


def test_the_longer_of_two_secrets_is_blotted_out_whole() -> None:
    blots = Blots([("key", "abcd-1234"), ("session", "abcd-1234-5678")])
    assert blots.text("abcd-1234-5678 abcd-1234") == "REDACTED-session REDACTED-key"


def test_short_values_and_placeholders_are_no_secrets() -> None:
    blots = Blots([("region", "eu"), ("api_key", "REDACTED-api_key")])
    assert blots.text("the eu has REDACTED-api_key") == "the eu has REDACTED-api_key"


@settings(max_examples=20)
@given(secret=SECRETS, core=CORES)
def test_a_secret_that_is_left_in_a_text_is_found(secret: str, core: str) -> None:
    blots = Blots([("api_key", secret + core)])
    for form in ("plain", "quoted", "JSON", "base64 as a password"):
        assert blots.found(f"a {FORMS[form](secret + core)} b") == "REDACTED-api_key"
    assert blots.found("nothing at all") == ""
