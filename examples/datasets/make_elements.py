"""Make the questions about the chemical elements from the table beside this file.

`python examples/datasets/make_elements.py` writes elements.jsonl and elements_heldout.jsonl; the same table gives
the same bytes.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
_HELD_OUT_EVERY = 15  # of the pairs of element and question form, spread over both


@dataclass(frozen=True, slots=True)
class Form:
    """One way to ask about an element, and the answer; used where the table has the `needed` column filled."""

    needed: str
    prompt: str
    completion: str


FORMS = (
    Form("symbol", "What is the chemical symbol of {name}?", "The chemical symbol of {name} is {symbol}."),
    Form("symbol", "Which element has the symbol {symbol}?", "The symbol {symbol} stands for {name}."),
    Form("name", "What is the atomic number of {name}?", "The atomic number of {name} is {atomic_number}."),
    Form("name", "Which element has atomic number {atomic_number}?", "Atomic number {atomic_number} is {name}."),
    Form("period", "In which period of the periodic table is {name}?", "The element {name} is in period {period}."),
    Form("group", "In which group of the periodic table is {name}?", "The element {name} is in group {group}."),
    Form("category", "What kind of element is {name}?", "The element {name} is {article} {category}."),
    Form("phase", "In which state is {name} at room temperature?", "At room temperature {name} is a {phase}."),
)


def read_table(path: Path) -> list[dict[str, str]]:
    """Read the table of the elements, with the article that its category takes."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{**row, "article": "an" if row["category"][:1] in "aeiou" else "a"} for row in rows]


def make_examples(table: list[dict[str, str]]) -> tuple[list[str], list[str]]:
    """Give the lines to train on and the lines held out."""
    train: list[str] = []
    held_out: list[str] = []
    for index, line in _lines(table):
        (held_out if index % _HELD_OUT_EVERY == 0 else train).append(line)
    return train, held_out


def _lines(table: list[dict[str, str]]) -> Iterator[tuple[int, str]]:
    index = 0
    for element in table:
        for form in FORMS:
            if element[form.needed]:
                index += 1
                yield index, _line(form, element)


def _line(form: Form, element: dict[str, str]) -> str:
    prompt = f"Question: {form.prompt.format_map(element)}\nAnswer:"
    return json.dumps({"prompt": prompt, "completion": " " + form.completion.format_map(element)})


def main() -> None:
    """Write both files."""
    train, held_out = make_examples(read_table(FOLDER / "elements.csv"))
    for name, lines in (("elements.jsonl", train), ("elements_heldout.jsonl", held_out)):
        (FOLDER / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{name}: {len(lines)} examples")


if __name__ == "__main__":
    main()
