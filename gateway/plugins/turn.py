"""One step of the machine in the making: the condition as it becomes, and the decisions so far."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from gateway.plugins.condition import Condition, Hold
from gateway.plugins.decisions import Decision
from gateway.plugins.limits import Limits
from gateway.plugins.model import ConnectorState


class Turn:
    """What one event leads to."""

    def __init__(self, condition: Condition, limits: Limits, now: float, chance: float, number: int) -> None:
        self.condition = condition
        self.limits = limits
        self.now = now
        self.chance = chance
        self.number = number
        self.decisions: list[Decision] = []

    def change(self, **fields: Any) -> None:
        """Change some fields."""
        self.condition = replace(self.condition, **fields)

    def move(self, state: ConnectorState, message: str = "", *, limit: timedelta | None = None) -> None:
        """Go into a state; it lasts for the limit at most, None = it may last."""
        self.change(state=state, message=message, deadline=None, next_start=None)
        if limit is not None:
            self.wait(limit)

    def wait(self, limit: timedelta) -> None:
        """Set the deadline."""
        self.change(deadline=self.now + limit.total_seconds())

    def decide(self, *decisions: Decision) -> None:
        """Add decisions."""
        self.decisions += decisions

    @property
    def is_due(self) -> bool:
        """Whether the deadline has come."""
        deadline = self.condition.deadline
        return deadline is not None and self.now >= deadline

    @property
    def may_signal(self) -> bool:
        """Whether the process is known to be the one that was launched."""
        return self.condition.hold is Hold.PROVEN
