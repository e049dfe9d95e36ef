"""The gateway's own log: structured events, for people on a terminal and as JSON for machines."""

from __future__ import annotations

import io
import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor


class _NotCancelNoise(logging.Filter):
    """Drop the traceback that grpc logs for every client that goes away (its own code calls it harmless)."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is kept."""
        return "ExecuteBatchError" not in record.getMessage() and not (
            record.exc_info and type(record.exc_info[1]).__name__ == "ExecuteBatchError"
        )


class _Unfailing(io.TextIOBase):
    """Writes what can be written: a full disk under the log must not fail the call that has something to tell."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def configure(level: str, log_format: str) -> None:
    """Send the log to standard error; the first thing that a process of the gateway does."""
    is_terminal = sys.stderr.isatty()
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=is_terminal, pad_event_to=24)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(
                fmt="iso" if log_format == "json" else "%H:%M:%S", utc=log_format == "json"
            ),
            _plain_enums,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Unfailing(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(logging.WARNING, logging.getLevelNamesMapping()[level]), stream=sys.stderr)
    logging.getLogger("grpc._cython.cygrpc").addFilter(_NotCancelNoise())


def _plain_enums(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {key: str(value) if isinstance(value, str) else value for key, value in event.items()}
