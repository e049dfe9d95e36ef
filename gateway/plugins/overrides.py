"""What `[limits]` of a manifest may change, and between which bounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.plugins.limits import HostLoss, Limits

MOST_STOP_SECONDS = 120
"""For all steps of an end together."""
_LEAST_IDLE_SECONDS = 10
"""A process that ends after less would start again all the time."""


class Overrides(BaseModel):
    """Limits of one connector, in seconds, bytes or numbers; None leaves one as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_timeout: Annotated[float | None, Field(ge=5, le=600)] = None
    start_extend: Annotated[float | None, Field(ge=0, le=300)] = None
    start_most: Annotated[float | None, Field(ge=5, le=3600)] = None
    handshake_timeout: Annotated[float | None, Field(ge=1, le=600)] = None
    probe_interval: Annotated[float | None, Field(ge=1, le=60)] = None
    probe_timeout: Annotated[float | None, Field(ge=0.5, le=60)] = None
    probe_failures: Annotated[int | None, Field(ge=1, le=20)] = None
    busy_hold: Annotated[float | None, Field(ge=0, le=600)] = None
    drain: Annotated[float | None, Field(ge=0, le=MOST_STOP_SECONDS)] = None
    terminate: Annotated[float | None, Field(ge=0, le=MOST_STOP_SECONDS)] = None
    kill: Annotated[float | None, Field(ge=0.1, le=MOST_STOP_SECONDS)] = None
    adopt: Annotated[float | None, Field(ge=1, le=60)] = None
    idle_stop: Annotated[float | None, Field(ge=0, le=86_400)] = None
    host_loss: HostLoss | None = None
    linger: Annotated[float | None, Field(ge=0, le=3600)] = None
    stable_window: Annotated[float | None, Field(ge=1, le=3600)] = None
    full_reset: Annotated[float | None, Field(ge=1, le=86_400)] = None
    backoff_first: Annotated[float | None, Field(ge=0.05, le=60)] = None
    backoff_cap: Annotated[float | None, Field(ge=0.1, le=3600)] = None
    breaker_deaths: Annotated[int | None, Field(ge=1, le=100)] = None
    breaker_window: Annotated[float | None, Field(ge=10, le=86_400)] = None
    breaker_starts: Annotated[int | None, Field(ge=1, le=1000)] = None
    memory_warn_bytes: Annotated[int | None, Field(ge=0)] = None
    memory_soft_bytes: Annotated[int | None, Field(ge=0)] = None
    memory_hard_bytes: Annotated[int | None, Field(ge=0)] = None
    log_lines_per_second: Annotated[int | None, Field(ge=10, le=100_000)] = None

    @model_validator(mode="after")
    def _fit(self) -> Self:
        total = _stop_seconds(self.apply(Limits()))
        if total > MOST_STOP_SECONDS:
            raise ValueError(f"drain, terminate and kill take {total:g} s together, more than {MOST_STOP_SECONDS}")
        if self.idle_stop and self.idle_stop < _LEAST_IDLE_SECONDS:
            raise ValueError(f"idle_stop must be 0 (never) or at least {_LEAST_IDLE_SECONDS}")
        return self

    def apply(self, limits: Limits) -> Limits:
        """Return the limits with these changes."""
        restart = replace(
            limits.restart,
            stable=_or(self.stable_window, limits.restart.stable),
            full_reset=_or(self.full_reset, limits.restart.full_reset),
            first=_or(self.backoff_first, limits.restart.first),
            cap=_or(self.backoff_cap, limits.restart.cap),
            breaker_deaths=limits.restart.breaker_deaths if self.breaker_deaths is None else self.breaker_deaths,
            window=_or(self.breaker_window, limits.restart.window),
            starts_per_window=limits.restart.starts_per_window if self.breaker_starts is None else self.breaker_starts,
        )
        return replace(
            limits,
            start=_or(self.start_timeout, limits.start),
            start_extend=_or(self.start_extend, limits.start_extend),
            start_most=_or(self.start_most, limits.start_most),
            handshake=_or(self.handshake_timeout, limits.handshake),
            probe_interval=_or(self.probe_interval, limits.probe_interval),
            probe_timeout=_or(self.probe_timeout, limits.probe_timeout),
            busy_hold=_or(self.busy_hold, limits.busy_hold),
            drain=_or(self.drain, limits.drain),
            terminate=_or(self.terminate, limits.terminate),
            kill=_or(self.kill, limits.kill),
            adopt=_or(self.adopt, limits.adopt),
            idle_stop=_or(self.idle_stop, limits.idle_stop),
            linger=_or(self.linger, limits.linger),
            probe_failures=limits.probe_failures if self.probe_failures is None else self.probe_failures,
            host_loss=limits.host_loss if self.host_loss is None else self.host_loss,
            memory_warn_bytes=limits.memory_warn_bytes if self.memory_warn_bytes is None else self.memory_warn_bytes,
            memory_soft_bytes=limits.memory_soft_bytes if self.memory_soft_bytes is None else self.memory_soft_bytes,
            memory_hard_bytes=limits.memory_hard_bytes if self.memory_hard_bytes is None else self.memory_hard_bytes,
            log_lines_per_second=limits.log_lines_per_second
            if self.log_lines_per_second is None
            else self.log_lines_per_second,
            restart=restart,
        )


def _or(seconds: float | None, otherwise: timedelta) -> timedelta:
    return otherwise if seconds is None else timedelta(seconds=seconds)


def _stop_seconds(limits: Limits) -> float:
    return (limits.drain + limits.lifeline + limits.terminate + limits.kill).total_seconds()
