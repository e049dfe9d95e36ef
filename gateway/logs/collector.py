"""The one reader of a job's log at its platform: it stores what it reads, and never gives up before the job ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

from gateway.backoff import Backoff
from gateway.cancellation import only_own_cancellation
from gateway.clock import Clock
from gateway.errors import ConnectorDown, GatewayError, Reason
from gateway.jobs.model import Job
from gateway.logs.intake import prepare
from gateway.logs.store import JobLog
from gateway.logs.wire import LogLine
from gateway.platform import Platform, Platforms, SourceBatch
from gateway.plugins.model import LogSource
from gateway.redaction import Redact, redactor

FIRST_DELAY_SECONDS = 0.2
"""Pause before a cut stream is opened again the first time; doubles each time, with jitter."""

MAX_DELAY_SECONDS = 15.0

DOWN_SECONDS = 1.0
"""Longest pause where it was the connector's process that ended: whoever asks for the next one waits for it anyway."""

MAX_DENIALS = 5
"""Answers in a row that there is no such job or connection, after which an ended job's log is not asked for again."""

Measure = Callable[[str, Sequence[LogLine], int], Awaitable[None]]
"""Keeps what lines of a job measure; the first of them is stored under the number."""

log = structlog.get_logger(__name__)


class Collector:
    """Read one job's log until it has ended, through crashes, cuts and restarts."""

    def __init__(
        self,
        job: Job,
        job_log: JobLog,
        *,
        platforms: Platforms,
        load_secrets: Callable[[str], Awaitable[Collection[str]]],
        clock: Clock,
        on_end: Callable[[], None],
        measure: Measure | None = None,
    ) -> None:
        self._job = job
        self._log = job_log
        self._platforms = platforms
        self._load_secrets = load_secrets
        self._secrets: set[str] = set()
        self._redact: Redact = redactor(())
        self._clock = clock
        self._on_end = on_end
        self._measure = measure
        self._is_measured = False
        """Whether the platform gives no metrics itself."""
        self._job_ended = asyncio.Event()
        self._backoff = Backoff(FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS)
        self._is_down = False
        self._denials = 0

    def job_ended(self) -> None:
        """Say that the job has ended at its platform: the next end of the stream is the end of the log."""
        self._backoff.reset()
        self._job_ended.set()

    async def run(self) -> bool:
        """Read until the log has ended, and tell whether it has every line.

        It has where the source said that the log ended and the job had ended before that stream was opened: only
        then is it certain that no line is missing. An ended job that its platform no longer knows has no more lines.
        """
        while True:
            was_over = self._job_ended.is_set()
            if await self._is_read_to_end():
                self._on_end()
                if was_over:
                    return True
            if was_over and self._denials >= MAX_DENIALS:
                return False
            await self._pause()

    async def _is_read_to_end(self) -> bool:
        self._is_down = False
        try:
            with only_own_cancellation(lambda: ConnectorDown("the connector's process ended")):
                platform = await self._platforms.platform(self._job.connection_id)
                said = await platform.describe()
                self._is_measured = "get_metrics" not in said.capabilities
                source = said.log_source
                # Credentials may have been rotated; a job that began with the old ones may still show those.
                self._secrets.update(await self._load_secrets(self._job.connection_id))
                self._redact = redactor(self._secrets)
                return await self._read(platform, source)
        except GatewayError as error:
            if error.reason is Reason.UNSUPPORTED:
                return True
            self._is_down = error.reason is Reason.CONNECTOR_DOWN
            self._denials = self._denials + 1 if error.reason is Reason.NOT_FOUND else 0
            log.info("log stream cut", job_id=self._job.id, reason=error.reason, error=error.message)
            return False

    async def _read(self, platform: Platform, source: LogSource) -> bool:
        mark = self._log.segment.mark
        seen = 0 if source is LogSource.REPLAY else mark.source_lines
        stream = platform.logs(self._job.platform_job_id, cursor=mark.cursor, after_line=mark.source_lines)
        async for batch in stream:
            # A replaying source starts again at its first line: skip what is stored already.
            known = max(0, min(len(batch.lines), self._log.segment.mark.source_lines - seen))
            seen += len(batch.lines)
            if batch.lines[known:]:
                await self._take_measure(batch.lines[known:])
                self._store(batch, known, seen)
            if batch.is_end:
                return True
        return False

    async def _take_measure(self, fresh: Sequence[LogLine]) -> None:
        """Read metrics out of lines before they are stored: after a crash they come again, and give the same points."""
        if self._measure is not None and self._is_measured:
            await self._measure(self._job.id, fresh, self._log.segment.mark.last_seq + 1)

    def _store(self, batch: SourceBatch, known: int, source_lines: int) -> None:
        segment = self._log.segment
        fresh = batch.lines[known:]
        encoded = list(prepare(fresh, first_seq=segment.mark.last_seq + 1, redact=self._redact, now=self._clock.now()))
        segment.append(encoded, batch.cursor or segment.mark.cursor, source_lines)
        self._backoff.reset()
        self._log.changed.notify()

    async def _pause(self) -> None:
        delay = min(self._backoff.next_seconds(), DOWN_SECONDS if self._is_down else MAX_DELAY_SECONDS)
        if self._job_ended.is_set():
            await asyncio.sleep(delay)
            return
        try:
            async with asyncio.timeout(delay):
                await self._job_ended.wait()
        except TimeoutError:
            return
