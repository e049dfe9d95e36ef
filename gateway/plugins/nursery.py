"""Has connectors forked from a template where that makes no difference to them, and keeps a template for it.

A template is started with the first connector that needs one, and replaced when it ends or something changed that it
has imported. After one that was of no use from the start, connectors are launched like any other program for a while.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta

import structlog

from gateway.plugins.closure import sdk_digest
from gateway.plugins.environment import child_environment
from gateway.plugins.forked import Forked
from gateway.plugins.launch_order import LaunchOrder
from gateway.plugins.plumbing import Ends
from gateway.plugins.template import COMMAND, Template, Unfit

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("gateway.connectors")

PAUSE = timedelta(seconds=60)
"""Until another template is tried after one that was unfit: most of what is wrong with one is wrong with the next."""
_ARGUMENTS = 2
"""`serve` and what is served; options would be for another kind of process."""
_READ_AT_START = ("PYTHON", "LD_", "GLIBC_", "MALLOC_", "OPENSSL_", "GRPC_", "PROTOCOL_BUFFERS_", "PYDANTIC_")
"""Beginnings of variables that are looked at when a program starts or a library is imported."""


class Nursery:
    """Forks connectors, as long as the gateway runs."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Make it; a template is started when it is needed.

        Args:
            environment: The gateway's.

        """
        self._environment = environment
        self._templates: list[Template] = []
        """The last one is the present one; others have connectors that live."""
        self._lock = asyncio.Lock()
        self._rests_until = -math.inf

    def takes(self, order: LaunchOrder, environment: Mapping[str, str]) -> bool:
        """Tell whether a connector is to be forked here, and not launched as a program."""
        is_open = asyncio.get_running_loop().time() >= self._rests_until
        return is_open and is_alike(order.command, environment, order.declared)

    async def fork(self, order: LaunchOrder, environment: Mapping[str, str], ends: Ends) -> Forked | None:
        """Fork a connector.

        Returns:
            The process; None = there is none that could do anything, but one that does nothing may have these ends.

        """
        template = None
        try:
            template = await self._template()
            return await template.fork(order, environment, ends)
        except (Unfit, OSError) as error:
            with suppress(OSError):
                log.warning("connector not forked", connector=order.bootstrap.instance_id, why=f"template: {error}")
        if template is not None:
            template.retire()
        if template is None or not template.has_forked:
            self._rests_until = asyncio.get_running_loop().time() + PAUSE.total_seconds()
        return None

    async def close(self) -> None:
        """End all templates."""
        self._rests_until = math.inf
        await asyncio.gather(*(template.close() for template in self._templates))

    async def _template(self) -> Template:
        environment = child_environment(self._environment, ())
        key = f"{await asyncio.to_thread(sdk_digest)} {sorted(environment.items())}"
        async with self._lock:
            present = self._templates[-1] if self._templates else None
            if present is not None and present.is_fit and present.key == key:
                return present
            if present is not None:
                present.retire()
            self._templates = [one for one in self._templates if not one.has_ended.is_set()]
            self._templates.append(await Template.start(key, environment))
            return self._templates[-1]


def is_alike(command: tuple[str, ...], environment: Iterable[str], declared: Iterable[str]) -> bool:
    """Tell whether a connector that is forked is like one that is started by its command."""
    *program, verb, target = command if len(command) == len(COMMAND) + _ARGUMENTS else ("", "", "")
    is_served = tuple(program) == COMMAND and verb == "serve" and not target.startswith("-")
    asked = set(declared) & set(environment)
    return sys.platform == "linux" and is_served and not any(name.startswith(_READ_AT_START) for name in asked)
