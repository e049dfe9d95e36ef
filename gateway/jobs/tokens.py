"""Submission tokens: what a remote job carries so that it can be found again, and whose it is.

`peft-<ledger>-<job>`, DNS-safe and 30 characters long: the token of a machine tells which gateway rented it.
"""

from __future__ import annotations

_PREFIX = "peft"


def token_of(ledger_identity: str, job_id: str) -> str:
    """Make the token of a job."""
    return f"{_PREFIX}-{ledger_identity}-{job_id.removeprefix('job-')}"


def is_own(ledger_identity: str, token: str) -> bool:
    """Whether a token was made by this ledger; what another gateway rented is none of its business."""
    return bool(ledger_identity) and token.startswith(f"{_PREFIX}-{ledger_identity}-")
