"""The socket between the gateway and a template: one packet a message, answers in the order of the requests."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

_LONGEST_ANSWER_BYTES = 4096
"""An answer has a number or a sentence."""


class Answer(BaseModel):
    """What a template says."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    template: int = 0
    """Version of what is spoken here; the first message has it."""
    pid: int = 0
    """Of the process that was forked."""
    status: int | None = None
    """How a process ended: an exit code, or a signal as a negative number."""
    error: str = ""


SILENCE = Answer(error="it has ended")
"""What is told in the place of answers that will not come any more."""


class TemplateSocket:
    """The gateway's end."""

    def __init__(self, end: socket.socket, on_end: Callable[[], None]) -> None:
        """Begin to listen; the first message is the answer to nothing, `hello`.

        Args:
            end: The socket.
            on_end: Called once when the template has closed its end, or says what nobody understands.

        """
        self._end, self._on_end = end, on_end
        self._loop = asyncio.get_running_loop()
        self.hello: asyncio.Future[Answer] = self._loop.create_future()
        self._awaited: deque[asyncio.Future[Answer]] = deque([self.hello])
        end.setblocking(False)
        self._loop.add_reader(end, self._read)

    def ask(self, request: Mapping[str, object], ends: Sequence[int] = ()) -> asyncio.Future[Answer]:
        """Send a request, with descriptors.

        Raises:
            OSError: It does not fit, or nobody takes it.

        """
        data = json.dumps(request).encode()
        if ends:
            socket.send_fds(self._end, [data], list(ends))
        else:
            self._end.send(data)
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._awaited.append(answer)
        return answer

    def close(self) -> None:
        """Close it, which ends the template."""
        if self._end.fileno() >= 0:
            self._loop.remove_reader(self._end)
            self._end.close()
        while self._awaited:
            _resolve(self._awaited.popleft(), SILENCE)

    def _read(self) -> None:
        try:
            data = self._end.recv(_LONGEST_ANSWER_BYTES)
            answer = Answer.model_validate_json(data)
            awaited = self._awaited.popleft()
        except BlockingIOError:
            return
        except (OSError, ValidationError, IndexError):
            self.close()
            self._on_end()
        else:
            _resolve(awaited, answer)


def _resolve(answer: asyncio.Future[Answer], found: Answer) -> None:
    if not answer.done():
        answer.set_result(found)
