"""The three shapes that a training example may have, and what is wrong with one that has none of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

Shape = Literal["text", "prompt/completion", "messages"]
Example = dict[str, str] | dict[str, list[dict[str, str]]]


class NotAnExample(ValueError):
    """Raised with a sentence about one row that cannot be trained on."""


def parse_example(row: object) -> tuple[Shape, Example]:
    """Reduce a row to the columns of its shape.

    Raises:
        NotAnExample: if the row has no known shape or a value of the wrong type.

    """
    if not isinstance(row, Mapping):
        raise NotAnExample('not an object with named fields; write {"prompt": "...", "completion": "..."}')
    if row.get("messages") is not None:
        return "messages", {"messages": _messages(row["messages"])}
    if row.get("prompt") is not None or row.get("completion") is not None:
        return "prompt/completion", {name: _string(row, name) for name in ("prompt", "completion")}
    if row.get("text") is not None:
        return "text", {"text": _string(row, "text")}
    raise NotAnExample("neither text, prompt/completion nor messages")


def _string(row: Mapping[object, object], name: str) -> str:
    value = row.get(name)
    if value is None:
        raise NotAnExample(f"{name} is missing; a prompt/completion example needs both")
    if not isinstance(value, str):
        raise NotAnExample(f"{name} is {type(value).__name__}, it must be a string")
    if not value.strip() and name != "prompt":
        raise NotAnExample(f"{name} is empty; remove the row or fill it in")
    return value


def _messages(value: object) -> list[dict[str, str]]:
    if isinstance(value, str):  # a CSV cell can hold a list only as JSON
        value = _decoded(value)
    if not isinstance(value, list) or not value:
        raise NotAnExample("messages must be a list with at least one message")
    messages = [_message(number, message) for number, message in enumerate(value, start=1)]
    if not any(message["role"] == "assistant" for message in messages):
        raise NotAnExample("messages has no message of the role assistant, so there is nothing to learn")
    return messages


def _decoded(value: str) -> object:
    try:
        decoded: object = json.loads(value)
    except ValueError as error:
        raise NotAnExample(f"messages is not valid JSON: {error}") from error
    return decoded


def _message(number: int, message: object) -> dict[str, str]:
    if not isinstance(message, Mapping):
        raise NotAnExample(f"message {number} is not an object with role and content")
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or not role or not isinstance(content, str):
        raise NotAnExample(f"message {number} needs a role and a content, both strings")
    return {"role": role, "content": content}
