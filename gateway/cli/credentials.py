"""Credentials: from a hidden prompt or a file. Never from the command line, which every process can read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gateway.cli.exit_codes import ExitCode
from gateway.cli.running import CommandError

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct


def read_credentials(source: str | None, schema: Struct) -> dict[str, str]:
    """Return credentials by name, from a file, from stdin (`-`), or asked for by the connector's schema."""
    if source is not None:
        return _from_json(sys.stdin.read() if source == "-" else _read(Path(source)), source)

    properties = properties_of(schema)
    if properties and not sys.stdin.isatty():
        raise CommandError(
            "there is no terminal to ask for credentials at; pass --credentials-file FILE, or - for stdin",
            ExitCode.USAGE,
        )

    required = set(_plain(schema).get("required", []))
    asked = {name: _ask(name, details, is_required=name in required) for name, details in properties.items()}
    return {name: value for name, value in asked.items() if value}


def properties_of(schema: Struct) -> dict[str, dict[str, object]]:
    """Return the properties that a JSON Schema names, in its order."""
    properties = _plain(schema).get("properties", {})
    return {str(name): dict(details) for name, details in properties.items()}


def _plain(schema: Struct) -> dict[str, dict[str, dict[str, object]]]:
    from google.protobuf.json_format import MessageToDict

    return dict(MessageToDict(schema))


def _ask(name: str, details: dict[str, object], *, is_required: bool) -> str:
    label = str(details.get("title") or name)
    description = str(details.get("description") or "")
    if description:
        sys.stderr.write(f"{description}\n")

    default = details.get("default")
    if default is None and not is_required:
        default, label = "", f"{label} (optional)"

    shown = default is not None and default != ""
    answer: str = typer.prompt(
        label, default=default, hide_input=True, show_default=shown, err=True, value_proc=lambda text: str(text).strip()
    )
    return answer


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"the credentials cannot be read: {error}", ExitCode.USAGE) from error


def _from_json(text: str, source: str) -> dict[str, str]:
    name = "stdin" if source == "-" else source
    try:
        values = json.loads(text)
    except ValueError:
        # The text itself must not appear in a message: it is a secret.
        raise CommandError(f"{name} is not JSON", ExitCode.USAGE) from None

    if not isinstance(values, dict) or not all(isinstance(value, str | int | float) for value in values.values()):
        raise CommandError(f"{name} must hold one JSON object of names and texts", ExitCode.USAGE)

    return {str(key): str(value) for key, value in values.items()}
