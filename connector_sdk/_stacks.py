"""Say where threads are: the stacks of all on SIGUSR1 or a crash, one line when the event loop is blocked."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import traceback
from pathlib import Path

from connector_sdk._start import StartError

DEEPEST_FRAMES = 8  # of a stack that goes into one line
NOT_THE_AUTHORS = (str(Path(os.__file__).parent), str(Path(__file__).parent), "/site-packages/", "<frozen ")
"""What the paths of code have in them that an author uses, and did not write."""


def leave_stacks_at(path: Path | None) -> None:
    """Append the stacks of all threads to the file whenever SIGUSR1 comes, and when the process crashes.

    Without a file they go to stderr. The handlers are written in C: they work whatever Python is busy with.
    """
    try:
        file = path.open("ab") if path else sys.stderr
    except OSError as error:
        message = f"The stacks file {path} cannot be opened ({error}): see that its folder is writable."
        raise StartError(message) from error
    faulthandler.enable(file, all_threads=True)
    faulthandler.register(signal.SIGUSR1, file, all_threads=True)


def where(thread_id: int) -> str:
    """Say in one line where a thread is: the innermost line of the author's, and the innermost frames."""
    frame = sys._current_frames().get(thread_id)
    if frame is None:
        return "nowhere"
    stack = traceback.StackSummary.extract(traceback.walk_stack(frame))
    own = next((one for one in stack if not any(mark in one.filename for mark in NOT_THE_AUTHORS)), stack[0])
    frames = " < ".join(f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in stack[:DEEPEST_FRAMES])
    return f"{own.filename}:{own.lineno} in {own.name}: {own.line} (stack: {frames})"
