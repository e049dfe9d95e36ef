"""Cut what an author's `stream_logs` yields into lines: the same lines whenever the same log is replayed."""

from __future__ import annotations

from collections.abc import Sequence


class LineFolder:
    """Split at line ends, and fold a carriage-return progress bar to its last state.

    An item without a line end is a line, as in the guide. One that starts or ends with a carriage return waits for the
    next item, because that may overwrite it. So does one without a line end where all before had theirs: if none comes
    behind it, it may be half a line.
    """

    def __init__(self) -> None:
        """Start with nothing held back."""
        self._held: str | None = None
        self._is_terminated: bool | None = None

    @property
    def is_torn(self) -> bool:
        """Whether the log ends in the middle of a line at the moment."""
        return bool(self._is_terminated) and self._held is not None

    def feed_all(self, items: Sequence[object]) -> list[str]:
        """Take items and return the lines that are complete."""
        texts = [item if type(item) is str else decoded(item) for item in items]
        if self._held is None:
            joined = "".join(texts)
            # Almost always is each item one line, and one look at all of them is the cheapest way to know.
            if "\r" not in joined and joined.count("\n") == (len(texts) if self._is_terminated else 0):
                if self._is_terminated is False:
                    return texts
                lines = [text[:-1] for text in texts if text.endswith("\n")]
                if self._is_terminated and len(lines) == len(texts):
                    return lines
        return [line for text in texts for line in self.feed(text)]

    def feed(self, item: object) -> list[str]:
        """Take one item and return the lines that are complete."""
        text = decoded(item)
        if self._is_terminated is None:
            self._is_terminated = text.endswith("\n")
        lines: list[str] = []
        if self._held is not None:
            if self._held.endswith("\r") or text.startswith("\r"):
                text = self._held + text
            else:
                self._is_terminated = False
                lines.append(_folded(self._held))
            self._held = None
        pieces = text.replace("\r\n", "\n").split("\n")
        last = pieces.pop()
        lines += [_folded(piece) for piece in pieces]
        if last.startswith("\r") or last.endswith("\r") or (last and self._is_terminated):
            self._held = _shortened(last)
        elif last or not pieces:
            lines.append(_folded(last))
        return lines

    def finish(self) -> list[str]:
        """Return the line that was held back, if any."""
        held, self._held = self._held, None
        return [] if held is None else [_folded(held)]


def decoded(item: object) -> str:
    """Read an item as text, whatever it is."""
    return bytes(item).decode("utf-8", "replace") if isinstance(item, bytes | bytearray) else str(item)


def _shortened(line: str) -> str:
    """Leave out the states that were drawn over: a progress bar may be drawn on for weeks without a line end."""
    if "\r" not in line:
        return line
    first, last = "\r" * line.startswith("\r"), "\r" * line.endswith("\r")
    return first + _folded(line) + last


def _folded(line: str) -> str:
    if "\r" not in line:
        return line
    return next((state for state in reversed(line.split("\r")) if state), "")
