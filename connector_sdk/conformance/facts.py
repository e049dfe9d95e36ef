"""What several checks need, made once, by the first that needs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from connector_sdk.conformance.check import FailedCheck, SkippedCheck

T = TypeVar("T")


class Facts:
    """Values by name. Who comes behind a failure is skipped: the failure is told once, by the check that met it."""

    def __init__(self) -> None:
        """Know nothing."""
        self._known: dict[str, object] = {}
        self._missing: dict[str, str] = {}

    async def get(self, name: str, make: Callable[[], Awaitable[T]]) -> T:
        """Give a fact, made by `make` if nobody asked before."""
        if name in self._missing:
            raise SkippedCheck(self._missing[name])
        if name not in self._known:
            self._missing[name] = f"needs {name}: that took too long"
            try:
                self._known[name] = await make()
            except SkippedCheck as reason:
                self._missing[name] = str(reason)
                raise
            except FailedCheck as failure:
                self._missing[name] = f"needs {name}: {failure}"
                raise
            del self._missing[name]
        return cast("T", self._known[name])

    def forget(self, *names: str) -> None:
        """Let these be made again."""
        for name in names:
            self._known.pop(name, None)
            self._missing.pop(name, None)
