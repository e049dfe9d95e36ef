"""Find a secret in whatever form it is in, by taking the form off instead of by listing forms."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote

from hypothesis import strategies as st

CORES = st.text("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", min_size=12, max_size=24).map("kQ".__add__)
"""Characters that no form changes, so that they can be looked for; they begin like nothing else in the tests."""

ODD = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), max_codepoint=0x1FFFF), max_size=4)
SECRETS = st.tuples(ODD, CORES, st.sampled_from(["", "+/=", "=", " &?#", '"\\', "é/%"]), ODD).map("".join)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "quoted": lambda text: quote(text, safe=""),
    "quoted in lower case": lambda text: re.sub(r"%..", lambda part: part[0].lower(), quote(text, safe="")),
    "quoted in part": lambda text: quote(text, safe="/+&="),
    "quoted twice": lambda text: quote(quote(text, safe=""), safe=""),
    "as a form has it": quote_plus,
    "JSON": json.dumps,
    "JSON with its letters": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON with escaped slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"inner": text})),
    "JSON in a URL": lambda text: quote(json.dumps({"inner": text}), safe=""),
    "HTML": html.escape,
    "base64": _encoded,
    "base64 as a password": lambda text: _encoded(f"user:{text}"),
    "base64 of JSON": lambda text: _encoded(json.dumps({"inner": text})),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(f"ab{text}cd".encode()).decode().rstrip("="),
    "base64 in a URL": lambda text: quote(_encoded(f"a{text}"), safe=""),
}


def is_in(core: str, text: str) -> bool:
    """Tell whether a core is in a text, plainly or within anything that can be read as base64."""
    for _ in range(3):
        runs = re.findall(r"[A-Za-z0-9+/_-]{8,}", text)
        if core in text or any(core.encode() in _decoded(run[first:]) for run in runs for first in range(4)):
            return True
        text = unquote(text.replace("\\/", "/"))
    return False


def _decoded(run: str) -> bytes:
    whole = run[: len(run) // 4 * 4].translate({ord("-"): "+", ord("_"): "/"})
    rest = run[len(whole) :].translate({ord("-"): "+", ord("_"): "/"})
    return base64.b64decode(whole) + (base64.b64decode(rest.ljust(4, "=")) if len(rest) > 1 else b"")
