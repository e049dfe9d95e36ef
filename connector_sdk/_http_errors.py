"""Say which `ConnectorError` an HTTP answer stands for, by a connector's own table first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from connector_sdk._classify import error_for_status
from connector_sdk.errors import ConnectorError, InvalidConfigError, NotFoundError, UnsupportedError

ErrorTable = Mapping[int | str | tuple[int, str], type[ConnectorError]]
"""The error for a status, for a code in the body, or for both together, which is looked for first."""

CODE_KEYS = ("code", "type", "error_code", "reason", "status", "error")
MESSAGE_KEYS = ("message", "detail", "title", "error_description", "error")
INNER_KEYS = ("error", "errors", "data")
"""Where vendors put them; the errors of a list count as its first one."""


def error_of(status: int, text: str, where: str, table: ErrorTable, retry_after: float | None = None) -> ConnectorError:
    """Give the error that an answer stands for, in the platform's own words."""
    bodies = list(_bodies(text))
    codes = [str(body[key]) for body in bodies for key in CODE_KEYS if isinstance(body.get(key), str | int)]
    words = next((str(body[key]) for body in bodies for key in MESSAGE_KEYS if isinstance(body.get(key), str)), text)
    message = f"{where} was answered {status}: {words}" if words else f"{where} was answered {status}"
    keys: list[int | str | tuple[int, str]] = [*((status, code) for code in codes), *codes, status]
    kind = next((table[key] for key in keys if key in table), None)
    return error_for_status(status, message, retry_after) if kind is None else _make(kind, message, retry_after)


def _make(kind: type[ConnectorError], message: str, retry_after: float | None) -> ConnectorError:
    if issubclass(kind, UnsupportedError):
        return kind(message=message)
    if issubclass(kind, InvalidConfigError | NotFoundError):
        return kind(message)
    return kind(message, retry_after)


def _bodies(text: str) -> Iterator[Mapping[str, object]]:
    """Yield the objects that say what is wrong, the innermost first."""
    try:
        found: object = json.loads(text)
    except ValueError:
        return
    chain: list[Mapping[str, object]] = []
    while True:
        if isinstance(found, list):
            found = found[0] if found else None
        if not isinstance(found, dict):
            break
        chain.append(found)
        found = next((found[key] for key in INNER_KEYS if isinstance(found.get(key), dict | list)), None)
    yield from reversed(chain)
