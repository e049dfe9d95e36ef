"""Make an error that a platform wrote for browsers readable for people."""

from __future__ import annotations

import html
import re

_PAGE = re.compile(r"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(r"<(title|h1)\b[^>]*>(.{1,200}?)</\1\s*>", re.IGNORECASE | re.DOTALL)


def readable(text: str) -> str:
    """Return `text` with a page of HTML in it, to its end, replaced by what the page is called."""
    page = _PAGE.search(text)
    if page is None:
        return text
    title = _TITLE.search(text, page.start())
    name = " ".join(html.unescape(title[2]).split()) if title else ""
    return f"{text[: page.start()]}(a page of HTML{f': {name}' if name else ''})"
