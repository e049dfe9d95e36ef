"""What can go wrong with the platform, as it is set through its admin API."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Call = Literal[
    "account",
    "submit",
    "list",
    "look",
    "cancel",
    "log",
    "log_text",
    "log_tail",
    "metrics",
    "files",
    "download",
    "machines",
    "price",
    "upload",
    "models",
    "model",
]
"""The platform's calls, by the names of their routes."""


class ReplyFault(BaseModel):
    """One kind of wrong answer, given to one call so many times."""

    model_config = ConfigDict(extra="forbid")

    call: Call
    kind: Literal["refuse", "page", "hang", "half", "drip"]
    """`refuse` = a JSON error, `page` = an HTML one, `hang` = no answer until the faults are cleared, `half` = the
    connection closes in the middle of the answer, `drip` = the answer comes in pieces over `seconds`."""
    is_done: bool = False
    """Whether the call has its effect all the same, as when the answer alone is lost."""
    status: int = 500
    text: str = "internal error"
    text_bytes: int = 0
    """The text is repeated up to this size."""
    retry_after: str = ""
    """The header as it is sent: seconds or a date; empty = none."""
    seconds: float = 0
    times: int | None = 1
    """None = until it is cleared."""

    def body(self) -> str:
        """Return the text of the error."""
        return (
            (self.text * (self.text_bytes // len(self.text) + 1))[: self.text_bytes] if self.text_bytes else self.text
        )


class Conditions(BaseModel):
    """What is wrong for as long as it is set."""

    model_config = ConfigDict(extra="forbid")

    list_lag_seconds: float = 0
    """So long after it was made, a job appears in lists."""
    clock_skew_seconds: float = 0
    """How far the platform's clock is ahead in all that it tells."""
    state_bytes: int = 0
    """The word for a job's state has this size."""
    is_etag_wrong: bool = False
    """Downloads carry another etag than lists tell."""
    missing_tail_bytes: int = 0
    """So many bytes are missing at the end of every file, and the platform believes them not to be of it."""
    log_repeats: int = 0
    """Each page of a log begins with so many lines of the one before."""
    log_skips: list[int] = []
    """Numbers of lines that the next page of a log leaves out; each is left out once."""
    log_cut_bytes: int = 0
    """A log as text ends after so many bytes, as if that were all; 0 = it does not."""
    log_lost_lines: int = 0
    """A log as text begins behind so many lines."""
    log_doubled: list[int] = []
    """Numbers of lines that a log as text has twice."""
    log_tail_lines: int = 3
    """So many lines are left in a log that has only its end."""
