"""Values in the words of people: states, times, sizes and money."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from peftstudio.gateway.v1.jobs_service_pb2 import Job, JobCost
    from peftstudio.job.v1.resource_pb2 import Price

_STYLES = {
    "succeeded": "green",
    "active": "green",
    "ready": "green",
    "verified": "green",
    "running": "cyan",
    "finalizing": "cyan",
    "failed": "red",
    "quarantined": "red",
    "crashed": "red",
    "corrupt": "red",
    "missing": "red",
    "needs_auth": "red",
    "unreachable": "red",
    "cancelled": "yellow",
    "cancelling": "yellow",
    "paused": "yellow",
    "degraded": "yellow",
    "backoff": "yellow",
    "recovering": "yellow",
    "stopping": "yellow",
    "in_doubt": "red",
}
_UNITS = {0: "hour", 1: "hour", 2: "minute", 3: "second", 4: "token", 5: "job"}


def word(enum_name: str, prefix: str) -> str:
    """Return an enum value's name as a word: `JOB_STATE_RUNNING` → `running`, unspecified → empty."""
    name = enum_name.removeprefix(prefix).lower()
    return "" if name == "unspecified" else name


def coloured(state: str) -> Text:
    """Return a state in the colour that goes with it."""
    return Text(state, style=_STYLES.get(state, ""))


def job_state(job: Job) -> str:
    """Return a job's state as a word."""
    from peftstudio.job.v1.job_state_pb2 import JobState

    return word(JobState.Name(job.state), "JOB_STATE_") if job.state in JobState.values() else str(job.state)


def age(stamp: Timestamp, now: datetime | None = None) -> str:
    """Say how long ago something was; empty where it never was."""
    if not stamp.seconds:
        return ""

    return f"{duration((now or datetime.now(UTC)) - stamp.ToDatetime(UTC))} ago"


def moment(stamp: Timestamp) -> str:
    """Return a point in time by the local clock; empty where it never was."""
    return stamp.ToDatetime(UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S") if stamp.seconds else ""


def duration(length: timedelta) -> str:
    """Say how long something is, in its two largest units: `2 h 5 min`."""
    seconds = max(0, int(length.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    parts = [(days, "d"), (hours % 24, "h"), (minutes % 60, "min"), (seconds % 60, "s")]
    first = next((number for number, (value, _) in enumerate(parts) if value), len(parts) - 1)
    return " ".join(f"{value} {unit}" for value, unit in parts[first : first + 2] if value) or "0 s"


def size(count: int) -> str:
    """Return a number of bytes in a unit that fits."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"

        value /= 1024

    return f"{value:.1f} TiB"


def money(micros: int, currency: str) -> str:
    """Return an amount, with as many digits as say something."""
    amount = micros / 1_000_000
    text = f"{amount:.2f}" if abs(amount) >= 0.1 or not micros else f"{amount:.6f}".rstrip("0")
    return f"{text} {currency}".strip()


def price(value: Price) -> str:
    """Say what something costs."""
    if value.not_priced:
        return "free"

    return f"{money(value.amount_micros, value.currency)} / {_UNITS.get(value.unit, 'unit')}"


def cost(value: JobCost) -> str:
    """Say what a job cost so far; empty where nothing is known."""
    if value.not_priced:
        return "free"

    return money(value.amount_micros, value.currency) if value.currency else ""


def cost_in_full(job: Job) -> str:
    """Say what a job cost so far, of what budget, at what price and for how long."""
    parts = [cost(job.cost)]
    if not parts[0] or job.cost.not_priced:
        return parts[0]

    if job.limits.max_cost_micros:
        share = 100 * job.cost.amount_micros // job.limits.max_cost_micros
        parts.append(f"of {money(job.limits.max_cost_micros, job.cost.currency)} ({share} %)")

    if job.HasField("price"):
        parts.append(f"at {price(job.price)}")

    if job.cost.HasField("held"):
        parts.append(f"for {duration(job.cost.held.ToTimedelta())}")

    return " ".join(parts)


def progress(job: Job) -> str:
    """Say how far a job is; empty before it began."""
    if not job.progress.step and not job.progress.percentage:
        return ""

    steps = f" ({job.progress.step}/{job.progress.total_steps})" if job.progress.total_steps else ""
    return f"{job.progress.percentage:.0f} %{steps}"
