"""The life of a connector as a pure function: what happened and when go in, the new condition and what to do come out.

    DISCOVERED ─needed▶ VERIFYING ─▶ STARTING ─▶ READY ◀─▶ DEGRADED
                            │            │         │ ├─ no health ─▶ UNRESPONSIVE ─ stacks, kill ─┐
                            ▼            ▼         │ └─ exit ──────────────────────────▶ CRASHED ◀┘
                       QUARANTINED    BACKOFF ◀────┼──────────────────────────────────────┤
                                         │ breaker └─▶ DRAINING ─▶ STOPPING ─▶ STOPPED    │
                                         ▼                            └─▶ IDLE, DISABLED  │
                                       FAILED ─ slowly ─▶ VERIFYING                       ▼
    left by an earlier gateway: ADOPTING ─▶ READY | REAPING ─▶ STOPPED               QUARANTINED

Always: one process at most; a deadline in every state but those of `condition.STEADY`; a wish to stop wins over any
start; no signal to a process that is not proven to be the one that was launched; generations only grow, and what comes
from an earlier one is dropped. `supervisor.py` does what is decided here.
"""

from __future__ import annotations

from typing import assert_never

from gateway.plugins import adopting, ending, resting, serving, starting
from gateway.plugins.condition import Condition, Hold
from gateway.plugins.decisions import Decision
from gateway.plugins.events import (
    Adopted,
    Began,
    Buried,
    Changed,
    Enabled,
    Event,
    Exited,
    HealthChanged,
    Kept,
    Launched,
    Needed,
    NotLaunched,
    OfProcess,
    Opened,
    ProbeAnswered,
    Progressed,
    Reached,
    Refused,
    Restarted,
    ShutdownRefused,
    StacksSaved,
    Stopped,
    TimePassed,
    Unadoptable,
    Unverified,
    Verified,
    Wish,
)
from gateway.plugins.limits import Limits
from gateway.plugins.model import ConnectorState
from gateway.plugins.turn import Turn


def step(
    condition: Condition, event: Event, *, limits: Limits, now: float, chance: float, number: int
) -> tuple[Condition, tuple[Decision, ...]]:
    """Take one step.

    Args:
        condition: The connector before it.
        event: What happened.
        limits: The connector's limits.
        now: Seconds of a clock that never goes back.
        chance: A number from 0 and below 1, for the spread of starts.
        number: What the next process is called; higher than any before.

    """
    turn = Turn(condition, limits, now, chance, number)
    if isinstance(event, OfProcess):
        if event.generation == condition.generation and condition.hold is not Hold.NONE:
            _of_process(turn, event)
    else:
        _of_connector(turn, event)
    return turn.condition, tuple(turn.decisions)


def _of_connector(turn: Turn, event: Event) -> None:  # noqa: C901 - one case an event
    match event:
        case Began():
            _begin(turn, event)
        case TimePassed():
            if turn.is_due:
                _overdue(turn)
        case Needed():
            resting.need(turn)
        case Stopped():
            _stop(turn, event.wish)
        case Enabled():
            if turn.condition.wish is Wish.OFF:
                turn.change(wish=Wish.REST)
                if turn.condition.state is ConnectorState.DISABLED:
                    resting.rest(turn)
        case Restarted():
            if not resting.restart(turn, event.problem):
                _end_for_another(turn)
        case Changed():
            turn.change(is_attached=event.is_attached)
            if not resting.change(turn, event.problem):
                _end_for_another(turn)
        case Kept():
            turn.change(problem=event.problem)
        case Verified():
            if turn.condition.state is ConnectorState.VERIFYING:
                starting.launch(turn)
        case Unverified():
            if turn.condition.state is ConnectorState.VERIFYING:
                resting.not_verified(turn, event.ending)


def _of_process(turn: Turn, event: OfProcess) -> None:  # noqa: C901 - one case an event
    match event:
        case Launched():
            starting.launched(turn)
        case NotLaunched():
            starting.not_launched(turn, event.ending)
        case Reached():
            starting.reached(turn, event.step)
        case Progressed():
            starting.progressed(turn, event.why)
        case Opened():
            starting.opened(turn)
        case Refused():
            starting.refused(turn, event.ending)
        case ProbeAnswered():
            serving.answered(turn, is_serving=event.is_serving, vitals=event.vitals)
        case HealthChanged():
            serving.troubled(turn, event.trouble)
        case StacksSaved():
            ending.saved_stacks(turn)
        case ShutdownRefused():
            ending.refused_shutdown(turn)
        case Exited():
            ending.exited(turn)
        case Buried():
            ending.buried(turn, event.ending)
        case Adopted():
            adopting.adopted(turn)
        case Unadoptable():
            adopting.unadoptable(turn, is_proven=event.is_proven, why=event.why)


def _begin(turn: Turn, event: Began) -> None:
    wish = Wish.OFF if event.is_disabled else Wish.REST
    turn.change(wish=wish, problem=event.problem, generation=event.generation, is_attached=event.is_attached)
    if event.has_leftover:
        adopting.begin(turn)
    elif event.is_attached and wish is Wish.REST and not event.problem:
        resting.attach(turn)
    else:
        resting.rest(turn)


def _stop(turn: Turn, wish: Wish) -> None:
    if turn.condition.wish is Wish.END:
        return
    turn.change(wish=wish)
    _end_for_another(turn)


def _end_for_another(turn: Turn) -> None:
    """End the process, if there is one that is not ending yet, and do then what is wanted."""
    known = turn.condition
    if known.state is ConnectorState.ADOPTING:
        return
    if known.hold is Hold.NONE:
        if known.wish is not Wish.RUN:
            resting.rest(turn)
    elif not known.is_ending:
        ending.stop(turn)


def _overdue(turn: Turn) -> None:
    state = turn.condition.state
    match state:
        case ConnectorState.VERIFYING:
            resting.unverified_in_time(turn)
        case ConnectorState.STARTING:
            starting.overdue(turn)
        case ConnectorState.READY | ConnectorState.DEGRADED:
            serving.due(turn)
        case ConnectorState.BACKOFF | ConnectorState.FAILED:
            resting.follow(turn)
        case ConnectorState.ADOPTING:
            adopting.overdue(turn)
        case (
            ConnectorState.UNRESPONSIVE
            | ConnectorState.CRASHED
            | ConnectorState.DRAINING
            | ConnectorState.STOPPING
            | ConnectorState.REAPING
        ):
            ending.escalate(turn)
        case (
            ConnectorState.DISCOVERED
            | ConnectorState.QUARANTINED
            | ConnectorState.STOPPED
            | ConnectorState.IDLE
            | ConnectorState.ATTACHED
            | ConnectorState.DISABLED
        ):
            turn.change(deadline=None)
        case _:
            assert_never(state)
