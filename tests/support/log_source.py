"""A platform's log, continued after cuts in each of the ways that platforms know."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from gateway.errors import GatewayError, Reason
from gateway.logs.wire import LogLine
from gateway.platform import SourceBatch
from gateway.plugins.model import Description, LogSource
from tests.support.fake_platform import FakePlatform


@dataclass
class LoggingPlatform(FakePlatform):
    """A platform whose jobs have a log."""

    source: LogSource = LogSource.CURSOR
    lines: list[str] = field(default_factory=list)
    batch_size: int = 3
    cuts: list[int] = field(default_factory=list)
    """One is taken by each stream: it breaks after so many lines, in silence where the number is even."""

    async def describe(self) -> Description:
        """Say how the log is continued."""
        return Description(name="logging", log_source=self.source)

    async def logs(self, platform_job_id: str, *, cursor: str, after_line: int) -> AsyncGenerator[SourceBatch, None]:
        """Send the log from where this source can."""
        self.calls.append("logs")
        start = {LogSource.CURSOR: int(cursor or 0), LogSource.OFFSET: after_line}.get(self.source, 0)
        cut = self.cuts.pop(0) if self.cuts else None
        sent = 0
        while start < len(self.lines):
            batch = self.lines[start : start + self.batch_size]
            if cut is not None and sent + len(batch) > cut:
                if cut % 2:
                    raise GatewayError("the connection was cut", reason=Reason.PLATFORM_UNAVAILABLE)
                return
            start, sent = start + len(batch), sent + len(batch)
            token = str(start) if self.source is LogSource.CURSOR else ""
            yield SourceBatch([LogLine(text=text) for text in batch], token, is_end=False)
        yield SourceBatch([], "", is_end=True)


@dataclass
class OnePlatform:
    """Finds the same platform behind every connection."""

    one: FakePlatform

    async def platform(self, connection_id: str) -> FakePlatform:
        """Return it."""
        return self.one
