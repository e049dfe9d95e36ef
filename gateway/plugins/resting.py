"""The machine's steps where there is no process: rest, wishes, the next start."""

from __future__ import annotations

from datetime import timedelta

from gateway.plugins.backoff import History, Wait
from gateway.plugins.condition import Hold
from gateway.plugins.decisions import Attach, Record, Verify
from gateway.plugins.events import StartStep, Wish
from gateway.plugins.exits import PERMANENT, Ending
from gateway.plugins.model import ConnectorState, ExitClass
from gateway.plugins.turn import Turn

WAITS_FOR_AUTHOR = "waits for a process that you start with its bootstrap.json, in instances/ID of the data folder"


def rest(turn: Turn) -> None:
    """Go into the state in which nothing happens until somebody wants something."""
    known = turn.condition
    turn.change(hold=Hold.NONE, verdict=None, is_idle=False)
    if known.wish is Wish.OFF:
        turn.move(ConnectorState.DISABLED, "switched off")
    elif known.problem:
        turn.move(ConnectorState.QUARANTINED, known.problem)
    elif known.is_idle:
        turn.move(ConnectorState.IDLE, "nothing needed it; it starts with the next call")
    else:
        turn.move(ConnectorState.STOPPED if known.has_run else ConnectorState.DISCOVERED)


def follow(turn: Turn) -> None:
    """Do what is wanted, now that there is no process."""
    known = turn.condition
    if known.wish is not Wish.RUN or known.problem:
        rest(turn)
    elif known.is_attached:
        attach(turn)
    else:
        verify(turn)


def verify(turn: Turn) -> None:
    """Begin a start."""
    turn.change(hold=Hold.NONE, verdict=None, is_idle=False)
    # What led to this start is told until it is done.
    message = "" if turn.condition.state is ConnectorState.IDLE else turn.condition.message
    turn.move(ConnectorState.VERIFYING, message, limit=turn.limits.verify)
    turn.decide(Verify())


def not_verified(turn: Turn, ending: Ending) -> None:
    """Take note that its files are not what they should be."""
    turn.change(died_at=turn.now)
    judge(turn, ending)


def unverified_in_time(turn: Turn) -> None:
    """Try again later: its files are on a disk that does not answer."""
    seconds = turn.limits.verify.total_seconds()
    message = f"its files could not be read within {seconds:g} s"
    not_verified(turn, Ending(exit_class=ExitClass.START_TIMEOUT, message=message))


def attach(turn: Turn) -> None:
    """Wait for a process that is not ours."""
    generation = turn.number
    turn.change(generation=generation, hold=Hold.HANDS_OFF, has_run=True, step=StartStep.QUEUED, trouble="")
    turn.move(ConnectorState.ATTACHED, WAITS_FOR_AUTHOR)
    turn.decide(Attach(generation))


def need(turn: Turn) -> None:
    """Take note that somebody needs the process."""
    known = turn.condition
    if known.wish is not Wish.REST or known.state in (ConnectorState.QUARANTINED, ConnectorState.ATTACHED):
        return
    turn.change(wish=Wish.RUN)
    if known.state in (ConnectorState.DISCOVERED, ConnectorState.STOPPED, ConnectorState.IDLE):
        follow(turn)


def restart(turn: Turn, problem: str) -> bool:
    """Forget all deaths and start again; tells whether there is no process in the way."""
    if turn.condition.wish in (Wish.OFF, Wish.END):
        return False
    turn.change(wish=Wish.REST if problem else Wish.RUN)
    return change(turn, problem)


def change(turn: Turn, problem: str) -> bool:
    """Go on with other files, to which no death counts; tells whether there is no process in the way."""
    known = turn.condition
    turn.change(problem=problem, history=History())
    if known.hold is not Hold.NONE or known.state is ConnectorState.ADOPTING:
        return False
    follow(turn)
    return True


def judge(turn: Turn, ending: Ending) -> None:
    """Decide what follows from a death."""
    known = turn.condition
    turn.change(hold=Hold.NONE, verdict=None)
    if ending.exit_class in PERMANENT:
        turn.decide(Record(known.generation, ending, "not started again until something changes"))
        turn.change(wish=Wish.REST if known.wish is Wish.RUN else known.wish)
        turn.move(ConnectorState.QUARANTINED, ending.message)
        return
    history, pause = known.history.died(ending.exit_class, turn.limits.restart, known.died_at, turn.chance)
    turn.change(history=history, restarts=known.restarts + 1)
    # Looking at the dead process took some of the wait.
    left = max(0.0, known.died_at + pause.delay.total_seconds() - turn.now)
    text = f"started again after {pause.delay.total_seconds():.2f} s{_hint(ending)}"
    turn.decide(Record(known.generation, ending, text, timedelta(seconds=left)))
    state = ConnectorState.BACKOFF if pause.wait is Wait.BACKOFF else ConnectorState.FAILED
    turn.move(state, ending.message, limit=timedelta(seconds=left))
    turn.change(next_start=turn.now + left)


def _hint(ending: Ending) -> str:
    match ending.exit_class:
        case ExitClass.OOM:
            return "; it needs more memory or a smaller task"
        case ExitClass.SIGNAL if ending.signal in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"):
            return "; a native library crashed: its core dump, where the system keeps one, says where"
        case _:
            return ""
