"""Every check, in the order in which they run: what others need comes first, what ends the connector last."""

from __future__ import annotations

from types import ModuleType

from connector_sdk.conformance.check import Check
from connector_sdk.conformance.checks import (
    artifacts,
    calls,
    capabilities,
    catalog,
    chaos,
    connections,
    describe,
    ending,
    errors,
    handshake,
    health,
    jobs,
    logs,
    metrics,
    schemas,
    secrets,
    sockets,
    streams,
    tokens,
    unknown,
    uploads,
    values,
    versions,
)

MODULES: tuple[ModuleType, ...] = (
    handshake,
    versions,
    sockets,
    health,
    tokens,
    describe,
    schemas,
    connections,
    capabilities,
    jobs,
    logs,
    metrics,
    artifacts,
    uploads,
    catalog,
    unknown,
    values,
    calls,
    streams,
    chaos,
    errors,
    secrets,
    ending,
)


def checks_of(module: ModuleType) -> list[Check]:
    """Give the checks of a module, in the order of its lines."""
    return [value for value in vars(module).values() if isinstance(value, Check)]


CHECKS: tuple[Check, ...] = tuple(check for module in MODULES for check in checks_of(module))
