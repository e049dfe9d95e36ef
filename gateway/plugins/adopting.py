"""The machine's steps for a process that an earlier gateway left."""

from __future__ import annotations

from gateway.plugins.condition import Hold, Rung
from gateway.plugins.decisions import Adopt, Forget
from gateway.plugins.ending import kill, stop
from gateway.plugins.events import Wish
from gateway.plugins.model import ConnectorState
from gateway.plugins.resting import follow
from gateway.plugins.turn import Turn


def begin(turn: Turn) -> None:
    """Look at what was left. Nothing may be signalled before it has proven what it is."""
    turn.change(hold=Hold.PENDING)
    turn.move(ConnectorState.ADOPTING, "left by an earlier gateway", limit=turn.limits.adopt)
    turn.decide(Adopt(turn.condition.generation))


def adopted(turn: Turn) -> None:
    """Serve with it, or end it where it is not wanted."""
    known = turn.condition
    if known.state is not ConnectorState.ADOPTING:
        return
    turn.change(hold=Hold.PROVEN, has_run=True, missed=0, held_since=None, is_probing=False, trouble="")
    turn.change(wish=Wish.RUN if known.wish is Wish.REST else known.wish, history=known.history.ready(turn.now))
    turn.move(ConnectorState.READY, limit=turn.limits.probe_interval)
    if known.wish in (Wish.OFF, Wish.END) or known.problem:
        stop(turn)


def unadoptable(turn: Turn, *, is_proven: bool, why: str) -> None:
    """End a process that is ours but of no use; leave alone whatever is not proven to be ours."""
    if turn.condition.state is not ConnectorState.ADOPTING:
        return
    if is_proven:
        turn.change(hold=Hold.PROVEN)
        turn.move(ConnectorState.REAPING, why, limit=turn.limits.kill)
        kill(turn)
        return
    turn.decide(Forget(turn.condition.generation))
    turn.change(hold=Hold.NONE, rung=Rung.ASK)
    follow(turn)


def overdue(turn: Turn) -> None:
    """Wait on: starting another before it is known what lives would risk two."""
    turn.wait(turn.limits.adopt)
