"""What a connector's process prints: cut into lines, the last ones kept, secrets blotted out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from gateway.redaction import Redactor

MAX_LINE_BYTES = 256 * 1024
"""Longest line that is kept whole: a progress bar without line ends must not fill the memory."""
MAX_LINES = 200
"""Last lines that are kept: a traceback and what led to it."""
MAX_KEPT_CHARS = 64 * 1024
"""Characters that are kept in all, and at most of one line an eighth of it."""
TRUNCATED = " …[truncated]"


class LineSplitter:
    """Cuts chunks of bytes into lines, and lines that are too long to their beginning."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._is_skipping = False

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the lines that end in these bytes."""
        *ended, rest = data.split(b"\n")
        for part in ended:
            yield from self._append(part)
            if not self._is_skipping:
                yield self._take()
            self._is_skipping = False
        yield from self._append(rest)

    def flush(self) -> Iterator[str]:
        """Yield what is left at the end."""
        if self._buffer:
            yield self._take()

    def _append(self, part: bytes) -> Iterator[str]:
        if self._is_skipping:
            return
        self._buffer += part
        if len(self._buffer) > MAX_LINE_BYTES:
            del self._buffer[MAX_LINE_BYTES:]
            self._is_skipping = True
            yield self._take() + TRUNCATED

    def _take(self) -> str:
        text = self._buffer.decode("utf-8", "replace").rstrip("\r")
        self._buffer.clear()
        return text


class LastLines:
    """The last lines of a process, and whoever else wants to hear them."""

    def __init__(
        self,
        forward: Callable[[str, str], None],
        *,
        per_second: int = 2_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Hear lines.

        Args:
            forward: Called with the stream's name and each line.
            per_second: Lines that are passed on; of more only the number is.
            clock: Seconds of a clock that never goes back.

        """
        self._forward = forward
        self._per_second = per_second
        self._clock = clock
        self._second = 0
        self._passed = 0
        self.dropped = 0
        """Lines that were kept from being passed on so far."""
        self._untold = 0
        self._kept: deque[str] = deque(maxlen=MAX_LINES)
        self._chars = 0
        self._redactor = Redactor()

    def hide(self, secrets: Iterable[str]) -> None:
        """Blot these texts out of every line from now on."""
        self._redactor.learn(secrets)

    def redact(self, text: str) -> str:
        """Blot out of a text all that is hidden by now."""
        return self._redactor.text(text)

    def redact_all(self, texts: Sequence[str]) -> Sequence[str]:
        """Do so with many texts; they are returned as they are where there is nothing to blot out."""
        return self._redactor(texts)

    def add(self, stream: str, line: str) -> None:
        """Take a line."""
        line = self.redact(line)
        self._keep(line[: MAX_KEPT_CHARS // 8])
        # A log that cannot be written must not stop the pipe from being drained.
        with suppress(OSError):
            self._pass_on(stream, line)

    def snapshot(self) -> tuple[str, ...]:
        """Return the kept lines, oldest first."""
        return tuple(self._kept)

    def end(self) -> None:
        """Take note that no more lines come."""
        with suppress(OSError):
            self._tell_dropped()

    def _pass_on(self, stream: str, line: str) -> None:
        second = int(self._clock())
        if second != self._second:
            self._tell_dropped()
            self._second, self._passed = second, 0
        if self._passed < self._per_second:
            self._passed += 1
            self._forward(stream, line)
        else:
            self.dropped += 1
            self._untold += 1

    def _tell_dropped(self) -> None:
        if self._untold:
            count, self._untold = self._untold, 0
            self._forward("gateway", f"{count} lines were dropped: it printed more than {self._per_second} in a second")

    def _keep(self, line: str) -> None:
        if len(self._kept) == MAX_LINES:
            self._chars -= len(self._kept.popleft())
        self._kept.append(line)
        self._chars += len(line)
        while self._chars > MAX_KEPT_CHARS:
            self._chars -= len(self._kept.popleft())
