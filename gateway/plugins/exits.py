"""Tells why a process ended."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.plugins.model import ExitClass

EXIT_CONFIG = 78
"""`EX_CONFIG`: starting again is of no use before something changes."""
EXIT_TEMPORARY = 75
"""`EX_TEMPFAIL`: try again."""

_CLASSES: Mapping[int, ExitClass] = MappingProxyType(
    {0: ExitClass.CLEAN, EXIT_CONFIG: ExitClass.CONFIG, EXIT_TEMPORARY: ExitClass.TEMPORARY}
)

PERMANENT = frozenset({ExitClass.CONFIG, ExitClass.PROTOCOL_MISMATCH, ExitClass.DIGEST_MISMATCH})
"""Classes after which a connector is quarantined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a process ended."""

    exit_class: ExitClass
    message: str
    exit_code: int | None = None
    signal: str = ""


def classify(returncode: int | None) -> ExitClass:
    """Return the class of an exit that nobody asked for; None = it was killed and is not gone yet."""
    if returncode is None or returncode < 0:
        return ExitClass.SIGNAL
    return _CLASSES.get(returncode, ExitClass.ERROR)


def signal_name(returncode: int | None) -> str:
    """Return the name of the signal that ended a process; empty = none did."""
    if returncode is None or returncode >= 0:
        return ""
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


def ending(exit_class: ExitClass, message: str, returncode: int | None) -> Ending:
    """Put together how a process ended."""
    name = signal_name(returncode)
    code = returncode if not name else None
    return Ending(exit_class=exit_class, message=message, exit_code=code, signal=name)
