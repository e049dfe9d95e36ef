"""The machine's steps from a verified connector to one that serves."""

from __future__ import annotations

from datetime import timedelta

from gateway.plugins.condition import Hold, Rung
from gateway.plugins.decisions import Launch, Open
from gateway.plugins.ending import give_up, stop
from gateway.plugins.events import StartStep, Wish
from gateway.plugins.exits import Ending
from gateway.plugins.model import ConnectorState, ExitClass
from gateway.plugins.resting import WAITS_FOR_AUTHOR, follow, judge
from gateway.plugins.turn import Turn

_LEAVE = timedelta(seconds=2)
"""For a process that has said why it cannot start to exit: runtimes and their threads take a while to end."""

_WAITED_FOR = {
    StartStep.QUEUED: "it had no turn to start",
    StartStep.SPAWNED: "no handshake came",
    StartStep.HANDSHAKED: "it shook hands, but did not answer Describe",
    StartStep.CONNECTED: "it answered Describe, but its health did not become SERVING",
}
"""What is told of a start that took too long, by where it stood."""


def launch(turn: Turn) -> None:
    """Have a process launched."""
    generation = turn.number
    turn.change(generation=generation, hold=Hold.PENDING, step=StartStep.QUEUED, has_run=True, trouble="", missed=0)
    turn.change(held_since=None, is_probing=False, rung=Rung.ASK)
    turn.move(ConnectorState.STARTING, turn.condition.message, limit=turn.limits.queue)
    turn.decide(Launch(generation))


def launched(turn: Turn) -> None:
    """Take note of the process."""
    known = turn.condition
    turn.change(hold=Hold.PROVEN, history=known.history.started(turn.now), spawned_at=turn.now)
    if known.state is ConnectorState.STARTING:
        turn.change(step=StartStep.SPAWNED)
        turn.wait(min(turn.limits.handshake, turn.limits.start))
        turn.decide(Open(known.generation))
    else:
        # The wish to stop came before the process.
        stop(turn)


def not_launched(turn: Turn, ending: Ending) -> None:
    """Take note that there is no process."""
    known = turn.condition
    turn.change(hold=Hold.NONE, died_at=turn.now)
    if known.state is ConnectorState.STARTING and known.wish is Wish.RUN:
        judge(turn, known.verdict or ending)
    elif known.verdict is not None and known.wish is Wish.RUN:
        judge(turn, known.verdict)
    else:
        follow(turn)


def reached(turn: Turn, step: StartStep) -> None:
    """Take note of progress within the start."""
    if turn.condition.state is ConnectorState.STARTING:
        turn.change(step=step, deadline=turn.condition.spawned_at + turn.limits.start.total_seconds())


def progressed(turn: Turn, why: str) -> None:
    """Give a start that says it is under way more time."""
    known = turn.condition
    if known.state is ConnectorState.ATTACHED:
        turn.change(step=StartStep.QUEUED, trouble=why, message=why or WAITS_FOR_AUTHOR)
    elif known.state is ConnectorState.STARTING and known.deadline is not None:
        most = known.spawned_at + max(turn.limits.start_most, turn.limits.start).total_seconds()
        extended = max(known.deadline, turn.now + turn.limits.start_extend.total_seconds())
        turn.change(deadline=min(most, extended), message="its process says that it is not ready yet")


def opened(turn: Turn) -> None:
    """Serve."""
    known = turn.condition
    if known.state is ConnectorState.STARTING:
        turn.change(history=known.history.ready(turn.now), missed=0, held_since=None, is_probing=False)
        turn.move(ConnectorState.READY, limit=turn.limits.probe_interval)
    elif known.state is ConnectorState.ATTACHED:
        turn.change(step=StartStep.CONNECTED, trouble="", message="serves; neither started nor ended by the gateway")


def refused(turn: Turn, ending: Ending) -> None:
    """End a process that cannot be used; one that said so is about to exit with a code that says more."""
    if turn.condition.state is ConnectorState.STARTING:
        # Killed before it exits, one that asks to be tried again would be quarantined.
        has_said_so = ending.exit_class is ExitClass.CONFIG
        give_up(turn, ending, first_wait=_LEAVE if has_said_so else turn.limits.last_words)


def overdue(turn: Turn) -> None:
    """End a start that took too long."""
    known = turn.condition
    limit = turn.limits.queue.total_seconds() if known.step is StartStep.QUEUED else turn.now - known.spawned_at
    message = f"{_WAITED_FOR[known.step]} within {limit:.1f} s"
    give_up(turn, Ending(exit_class=ExitClass.START_TIMEOUT, message=message), is_hung=True)
