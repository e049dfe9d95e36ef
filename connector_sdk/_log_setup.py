"""Write the connector's log to stderr: one line per record, without credentials."""

from __future__ import annotations

import logging
import sys

from connector_sdk._redact import Secrets

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class LineFormatter(logging.Formatter):
    """Fold tracebacks into their line, and redact what is left."""

    def __init__(self, secrets: Secrets) -> None:
        """Redact what `secrets` knows."""
        super().__init__(FORMAT)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Write one record as one line."""
        return self._secrets.redact(super().format(record)).replace("\n", "\\n")


def log_to_stderr(level: str, secrets: Secrets) -> None:
    """Send the records of every logger to stderr; an unknown level is read as INFO."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(secrets))
    known = logging.getLevelNamesMapping()
    logging.basicConfig(level=known.get(level.upper(), logging.INFO), handlers=[handler], force=True)
    # Every client that goes away from a blocked stream makes this logger print a traceback that means nothing.
    logging.getLogger("grpc._cython.cygrpc").setLevel(logging.CRITICAL)
