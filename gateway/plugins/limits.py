"""Every limit of a connector's process, with its reason; `overrides.py` has what a manifest may change."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from gateway.plugins.backoff import RestartPolicy


class HostLoss(StrEnum):
    """What a connector does when its gateway is gone."""

    EXIT = "exit"
    LINGER = "linger"
    """Wait for the next gateway, which takes it over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long each step of a process may take, and how much it may use."""

    verify: timedelta = timedelta(seconds=30)
    """For the digest of its files: a folder of some gigabytes is read in that time."""
    queue: timedelta = timedelta(minutes=10)
    """For its turn to start: every connector before it may need its whole start."""
    start: timedelta = timedelta(seconds=30)
    """From the launch until it is ready: a cold import on a loaded machine takes ten seconds and more."""
    start_extend: timedelta = timedelta(seconds=30)
    """What a start gets from each answer that says NOT_SERVING: it is under way."""
    start_most: timedelta = timedelta(seconds=300)
    """For a start with all that it gets."""
    handshake: timedelta = timedelta(seconds=10)
    """From the launch until the handshake: an earlier and clearer error than that of the whole start."""
    probe_interval: timedelta = timedelta(seconds=5)
    """Between two health calls: with the next two, a hung process is noticed within about 21 s."""
    probe_timeout: timedelta = timedelta(seconds=2)
    """For one health call: health is served beside the work, so that a busy connector answers too."""
    probe_failures: int = 3
    """Health calls that must fail in a row before the process is ended: one slow answer is no death."""
    busy_hold: timedelta = timedelta(seconds=60)
    """For a process that answers no health call but computes or streams: it is busy and not hung."""
    stacks: timedelta = timedelta(seconds=1)
    """For a hung process to write where it hangs."""
    drain: timedelta = timedelta(seconds=10)
    """For Shutdown: calls under way take as long as a platform takes to answer."""
    lifeline: timedelta = timedelta(seconds=1)
    """After stdin is closed: the contract says within a second."""
    terminate: timedelta = timedelta(seconds=5)
    """After SIGTERM, which is Shutdown with 5 s."""
    kill: timedelta = timedelta(seconds=1)
    """After SIGKILL: only a process in an uninterruptible system call takes longer, and then it is sent again."""
    last_words: timedelta = timedelta(milliseconds=200)
    """For what a dead process left in its pipes: a grandchild may hold them open for ever, and the next start waits."""
    autopsy: timedelta = timedelta(seconds=2)
    """For all that is looked at and closed behind a dead process."""
    adopt: timedelta = timedelta(seconds=5)
    """For taking over a process of an earlier gateway."""
    idle_stop: timedelta = timedelta(minutes=15)
    """Without a call, a stream or an open job until the process is ended; 0 = never."""
    linger: timedelta = timedelta(seconds=300)
    """How long a process whose gateway is gone waits for the next."""
    host_loss: HostLoss = HostLoss.EXIT
    memory_warn_bytes: int = 256 * 1024**2
    """Resident memory that is told: an idle connector has 36 to 52 MB."""
    memory_soft_bytes: int = 1024**3
    """Resident memory with which the process is exchanged for a fresh one as soon as nothing is under way."""
    memory_hard_bytes: int = 0
    """Limit that the process sets itself when it starts; 0 = none."""
    log_lines_per_second: int = 2_000
    """Lines that are passed on; of more only the number is."""
    restart: RestartPolicy = field(default_factory=RestartPolicy)
