"""Printing: JSON for scripts, tables and colours on a terminal, plain text into a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterable, Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from google.protobuf.message import Message

Cell = str | Text


def stdout() -> Console:
    """Return the console for results; rich itself honours NO_COLOR and notices a pipe."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def stderr() -> Console:
    """Return the console for all that is not a result."""
    return Console(stderr=True, highlight=False)


def print_json(message: Message) -> None:
    """Print a message as JSON, with the field names of the .proto files."""
    _write(json.dumps(_plain(message), indent=2))


async def print_json_array(messages: AsyncIterable[Message]) -> None:
    """Print messages as one JSON array."""
    _write(json.dumps([_plain(message) async for message in messages], indent=2))


def print_json_line(message: Message) -> None:
    """Print a message as one line of JSON, at once."""
    _write(json.dumps(_plain(message), separators=(",", ":")))


def print_line(text: str) -> None:
    """Print a line as it is, at once."""
    _write(text)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, empty: str) -> None:
    """Print a table; where there are no rows, say so on stderr."""
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    if not cells:
        stderr().print(empty, style="dim")
        return

    if sys.stdout.isatty():
        _print_rich(columns, cells)
    else:
        _print_plain(columns, cells)


def print_details(pairs: Iterable[tuple[str, Cell]]) -> None:
    """Print named values, one a line; those that are empty are left out."""
    grid = [(name, value if isinstance(value, Text) else Text(value)) for name, value in pairs if str(value)]
    width = max((len(name) for name, _ in grid), default=0)
    console = stdout()
    for name, value in grid:
        console.print(Text(f"{name:<{width}}  ", style="dim") + value)


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
    table = Table(box=None, header_style="bold dim", pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        # What names the row is what people copy: it is never cut.
        table.add_column(column, no_wrap=number == 0, overflow="fold")

    for row in rows:
        table.add_row(*row)

    stdout().print(table)


def _print_plain(columns: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
    lines = [list(columns), *([cell.plain for cell in row] for row in rows)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
    for line in lines:
        _write("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def _plain(message: Message) -> dict[str, object]:
    from google.protobuf.json_format import MessageToDict

    return dict(MessageToDict(message, preserving_proto_field_name=True))


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    # Whoever reads a pipe wants a line when it is there, not when a buffer is full.
    sys.stdout.flush()
