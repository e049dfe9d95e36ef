"""The machine's steps while a process serves: health, hangs, idleness, memory."""

from __future__ import annotations

from datetime import timedelta

from gateway.plugins.condition import SERVING
from gateway.plugins.decisions import Probe
from gateway.plugins.ending import give_up, stop
from gateway.plugins.events import Vitals, Wish
from gateway.plugins.exits import Ending
from gateway.plugins.model import ConnectorState, ExitClass
from gateway.plugins.turn import Turn

_SLACK = timedelta(seconds=2)
"""How much longer than its own limit a health call may take before it is taken for lost."""


def due(turn: Turn) -> None:
    """Make the next health call, or take the one under way for lost."""
    if turn.condition.is_probing:
        answered(turn, is_serving=False, vitals=Vitals())
        return
    turn.change(is_probing=True)
    turn.wait(turn.limits.probe_timeout + _SLACK)
    turn.decide(Probe(turn.condition.generation))


def answered(turn: Turn, *, is_serving: bool, vitals: Vitals) -> None:
    """Draw conclusions from a health call."""
    if turn.condition.state not in SERVING:
        return
    turn.change(is_probing=False)
    turn.wait(turn.limits.probe_interval)
    if not is_serving:
        _missed(turn, vitals)
        return
    turn.change(missed=0, held_since=None)
    if _is_too_idle(turn, vitals):
        turn.change(wish=Wish.REST if turn.condition.wish is Wish.RUN else turn.condition.wish, is_idle=True)
        stop(turn)
    elif _is_too_large(turn, vitals):
        stop(turn)
    else:
        _tell(turn, _memory_words(turn, vitals))


def troubled(turn: Turn, trouble: str) -> None:
    """Take note of trouble at the platform, which a restart would not help."""
    turn.change(trouble=trouble)
    if turn.condition.state in SERVING and not turn.condition.missed:
        _tell(turn, "")


def _tell(turn: Turn, memory: str) -> None:
    trouble = turn.condition.trouble
    state = ConnectorState.DEGRADED if trouble else ConnectorState.READY
    turn.change(state=state, message=trouble or memory)


def _missed(turn: Turn, vitals: Vitals) -> None:
    missed, most = turn.condition.missed + 1, turn.limits.probe_failures
    turn.change(
        missed=missed, state=ConnectorState.DEGRADED, message=f"process: missed {missed} of {most} health calls"
    )
    if missed < most:
        return
    since = turn.now if turn.condition.held_since is None else turn.condition.held_since
    left = since + turn.limits.busy_hold.total_seconds() - turn.now
    if vitals.is_busy and left > 0:
        what = "computes" if vitals.is_computing else "streams"
        turn.change(
            held_since=since,
            message=f"process: answers no health call but {what}; left alone for {left:.0f} s more",
        )
        return
    how = "and did nothing" if not vitals.is_busy else f"for {turn.now - since:.0f} s more while it was busy"
    message = f"it did not answer its health calls {how}, and was killed"
    give_up(turn, Ending(exit_class=ExitClass.UNRESPONSIVE, message=message), is_hung=True)


def _is_too_idle(turn: Turn, vitals: Vitals) -> bool:
    limit = turn.limits.idle_stop.total_seconds()
    return 0 < limit <= vitals.idle_seconds


def _is_too_large(turn: Turn, vitals: Vitals) -> bool:
    return 0 < turn.limits.memory_soft_bytes <= vitals.memory_bytes and vitals.idle_seconds > 0


def _memory_words(turn: Turn, vitals: Vitals) -> str:
    if not 0 < turn.limits.memory_warn_bytes <= vitals.memory_bytes:
        return ""
    return f"process: has {vitals.memory_bytes // 1024**2} MiB of memory"
