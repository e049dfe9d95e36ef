"""One call to a process, noted where it is of interest to others: what goes on, and what trouble it shows."""

from __future__ import annotations

from google.protobuf.message import Message

from gateway.errors import GatewayError
from gateway.plugins.activity import Activity
from gateway.plugins.troubles import Troubles


class NotedCall:
    """Note a call for as long as the block is entered. No generator, because every call passes here."""

    __slots__ = ("_activity", "_begun", "_connection_id", "_troubles", "method")

    def __init__(self, activity: Activity, troubles: Troubles, request: Message) -> None:
        self.method = type(request).__name__.removesuffix("Request")
        self._connection_id: str = getattr(request, "connection_id", "")
        self._activity = activity
        self._troubles = troubles

    def __enter__(self) -> str:
        """Begin, and return the method's name."""
        self._begun = self._activity.begin()
        return self.method

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Note how it ended."""
        self._activity.end(self.method, self._begun, error)
        if error is None:
            self._troubles.succeeded(self._connection_id, self.method)
        elif isinstance(error, GatewayError):
            self._troubles.failed(self._connection_id, self.method, error)
