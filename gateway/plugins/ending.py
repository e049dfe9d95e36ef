"""The machine's steps from a process to none: the ladder of a stop, a hang, a death.

asked for: DRAINING (Shutdown) ─▶ STOPPING (stdin closed ─▶ SIGTERM ─▶ SIGKILL) ─▶ buried ─▶ what is wanted
hung:      UNRESPONSIVE (stacks saved ─▶ SIGKILL) ─▶ CRASHED ─▶ buried ─▶ judged
by itself: CRASHED ─▶ buried ─▶ judged
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from signal import SIGKILL, SIGTERM

from gateway.plugins.condition import SERVING, Hold, Rung
from gateway.plugins.decisions import Abandon, AskShutdown, Bury, CutLifeline, DumpStacks, Forget, Record, SendSignal
from gateway.plugins.events import StartStep, Wish
from gateway.plugins.exits import Ending
from gateway.plugins.model import ConnectorState, ExitClass
from gateway.plugins.resting import follow, judge
from gateway.plugins.turn import Turn


def stop(turn: Turn) -> None:
    """End the process in order."""
    known = turn.condition
    if known.hold is Hold.PENDING:
        turn.move(ConnectorState.STOPPING, limit=turn.limits.kill)
        turn.decide(Abandon(known.generation))
    elif known.hold is Hold.HANDS_OFF:
        turn.change(rung=Rung.BURY)
        turn.move(ConnectorState.STOPPING, limit=turn.limits.autopsy)
        turn.decide(Bury(known.generation))
    elif known.state in SERVING or known.step is StartStep.CONNECTED:
        turn.change(rung=Rung.ASK)
        turn.move(ConnectorState.DRAINING, limit=turn.limits.drain)
        turn.decide(AskShutdown(known.generation))
    else:
        cut(turn)


def cut(turn: Turn) -> None:
    """Close the lifeline."""
    turn.change(rung=Rung.LIFELINE)
    turn.move(ConnectorState.STOPPING, limit=turn.limits.lifeline)
    turn.decide(CutLifeline(turn.condition.generation))


def give_up(turn: Turn, ending: Ending, *, is_hung: bool = False, first_wait: timedelta | None = None) -> None:
    """End a process that cannot be used.

    Args:
        turn: The step.
        ending: Why.
        is_hung: Whether to ask first where it hangs.
        first_wait: How long to leave it to itself before it is killed.

    """
    turn.change(verdict=ending)
    if turn.condition.hold is Hold.PENDING:
        stop(turn)
    elif is_hung:
        turn.change(rung=Rung.ASK)
        turn.move(ConnectorState.UNRESPONSIVE, ending.message, limit=turn.limits.stacks)
        turn.decide(DumpStacks(turn.condition.generation))
    elif first_wait is not None:
        turn.change(rung=Rung.ASK)
        turn.move(ConnectorState.CRASHED, ending.message, limit=first_wait)
    else:
        kill(turn)


def kill(turn: Turn) -> None:
    """Kill the process; it is done again until the process is gone."""
    turn.change(rung=Rung.KILL)
    turn.wait(turn.limits.kill)
    if turn.may_signal:
        turn.decide(SendSignal(turn.condition.generation, SIGKILL))


def escalate(turn: Turn) -> None:
    """Take the next step of an end, as the present one took too long."""
    known = turn.condition
    match known.rung:
        case _ if known.hold is Hold.PENDING:
            turn.wait(turn.limits.kill)
        case Rung.BURY:
            _finish(turn, Ending(exit_class=ExitClass.ERROR, message="its process ended; nobody could tell how"))
        case Rung.ASK if known.state is ConnectorState.DRAINING:
            cut(turn)
        case Rung.LIFELINE:
            turn.change(rung=Rung.TERMINATE)
            turn.wait(turn.limits.terminate)
            if turn.may_signal:
                turn.decide(SendSignal(known.generation, SIGTERM))
        case Rung.ASK | Rung.TERMINATE | Rung.KILL:
            kill(turn)


def refused_shutdown(turn: Turn) -> None:
    """Go on without the process's own help."""
    if turn.condition.state is ConnectorState.DRAINING and turn.condition.rung is Rung.ASK:
        cut(turn)


def saved_stacks(turn: Turn) -> None:
    """Kill a hung process, now that it is known where it hangs."""
    if turn.condition.state is ConnectorState.UNRESPONSIVE and turn.condition.rung is Rung.ASK:
        kill(turn)


def exited(turn: Turn) -> None:
    """Look at a dead process."""
    known = turn.condition
    if known.rung is Rung.BURY and known.is_ending:
        return
    if known.state is ConnectorState.CRASHED and known.rung is Rung.ASK:
        # It ended by itself after all, and its exit code says what to do.
        turn.change(verdict=None)
    if known.state not in (ConnectorState.DRAINING, ConnectorState.STOPPING, ConnectorState.REAPING):
        turn.move(ConnectorState.CRASHED, known.verdict.message if known.verdict else "its process ended")
    turn.change(rung=Rung.BURY, died_at=turn.now)
    turn.wait(turn.limits.autopsy)
    turn.decide(Bury(known.generation))


def buried(turn: Turn, ending: Ending) -> None:
    """Go on behind a dead process."""
    if turn.condition.rung is Rung.BURY and turn.condition.is_ending:
        _finish(turn, ending)


def _finish(turn: Turn, ending: Ending) -> None:
    known = turn.condition
    turn.change(hold=Hold.NONE, rung=Rung.ASK)
    turn.decide(Forget(known.generation))
    if known.state is not ConnectorState.CRASHED:
        follow(turn)
        return
    if known.verdict is not None:
        ending = replace(known.verdict, exit_code=ending.exit_code, signal=ending.signal)
    if known.wish is Wish.RUN:
        judge(turn, ending)
        return
    # A wish to stop wins over the next start.
    turn.decide(Record(known.generation, ending, "not started again: it was to stop"))
    follow(turn)
