"""Credentials in text, however programs write them."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.redaction import REDACTED, redactor

pytestmark = pytest.mark.unit

SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=30)


@given(SECRETS)
def test_a_secret_is_gone_plain_and_in_json_and_in_urls(secret: str) -> None:
    redact = redactor([secret])
    escaped = json.dumps(secret)[1:-1]
    for spelling in (secret, escaped, escaped.replace("/", "\\/"), quote(secret), quote(secret, safe="")):
        assert redact(f"<{spelling}>") == f"<{REDACTED}>"
    assert redact(f"https://x.test/?key={quote_plus(secret)}&n=1") == f"https://x.test/?key={REDACTED}&n=1"


def test_a_secret_within_another_leaves_nothing_of_it_and_short_ones_are_words() -> None:
    redact = redactor(["abcdef", "abcdef-ghijkl", "of"])
    assert redact("key abcdef-ghijkl of abcdef") == f"key {REDACTED} of {REDACTED}"
