"""The one reader of a job's log at its platform: it stores what it reads, and never gives up before the job ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

import structlog

from gateway.backoff import Backoff
from gateway.cancellation import only_own_cancellation
from gateway.clock import Clock
from gateway.errors import ConnectorDown, GatewayError, Reason
from gateway.jobs.model import Job
from gateway.logs.alignment import WINDOW, Continuation, Differs, Onward, Replay, Search
from gateway.logs.intake import prepare, shown
from gateway.logs.place import START, Place
from gateway.logs.store import JobLog
from gateway.logs.wire import LogLine, encode_gap
from gateway.platform import Platform, Platforms, SourceBatch
from gateway.plugins.model import LogSource
from gateway.redaction import Redactor

FIRST_DELAY_SECONDS = 0.2
"""Pause before a cut stream is opened again the first time; doubles each time, with jitter."""

MAX_DELAY_SECONDS = 15.0

END_DELAY_SECONDS = 0.5
"""Shortest pause behind an end of the log: longer than it mostly takes to find out that the job has ended as well."""

DOWN_SECONDS = 1.0
"""Longest pause where it was the connector's process that ended: whoever asks for the next one waits for it anyway."""

MAX_DENIALS = 5
"""Answers in a row that there is no such job or connection, after which an ended job's log is not asked for again."""

TAIL_GAP = "the log was not read for a while, and its source gives only what comes"

EXPIRED = frozenset({Reason.CURSOR_EXPIRED, Reason.BAD_OFFSET})
"""A source's answers where it no longer has the place that the log was read to."""

FindRedactor = Callable[[str], Awaitable[Redactor]]
"""Gives what blots out all that a connection's jobs may print and nobody may see."""

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
        find_redactor: FindRedactor,
        clock: Clock,
        on_end: Callable[[], None],
        measure: Measure | None = None,
        is_late: bool = False,
    ) -> None:
        """Make the reader of a job's log; it `is_late` where the job may have run before without one."""
        self._job = job
        self._log = job_log
        self._platforms = platforms
        self._find_redactor = find_redactor
        self._redactor = Redactor()
        self._clock = clock
        self._on_end = on_end
        self._measure = measure
        self._is_late = is_late
        self._is_measured = False
        """Whether the platform gives no metrics itself."""
        self._job_ended = asyncio.Event()
        self._backoff = Backoff(FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS)
        self._is_down = False
        self._denials = 0
        self._planned: Continuation | None = None
        """How the next stream is to be read, where the last one showed that the usual way does not do."""
        self._gap = ""
        """Why lines may be missing behind the last one."""

    def job_ended(self) -> None:
        """Say that the job has ended at its platform: the next end of the stream is the end of the log."""
        self._backoff.reset()
        self._job_ended.set()

    async def run(self) -> bool:
        """Read until the log has ended, and tell whether it was read to its end.

        It was where the source said that the log ended and the job had ended before that stream was opened: only
        then is it certain that no line is missing. An ended job that its platform no longer knows has no more lines.
        """
        is_whole = False
        while True:
            was_over = self._job_ended.is_set()
            is_end = await self._is_read_to_end()
            if is_end:
                self._on_end()
                # Behind an end up to which nothing was missed there is nothing to miss either.
                is_whole = is_whole or not self._gap
                if was_over:
                    self._log.gap = "" if is_whole else self._gap
                    return True
            else:
                is_whole = False
            if was_over and self._denials >= MAX_DENIALS:
                return False
            await self._pause(END_DELAY_SECONDS if is_end else 0.0)

    async def _is_read_to_end(self) -> bool:
        self._is_down = False
        try:
            with only_own_cancellation(lambda: ConnectorDown("the connector's process ended")):
                platform = await self._platforms.platform(self._job.connection_id)
                said = await platform.describe()
                self._is_measured = "get_metrics" not in said.capabilities
                await self._learn_secrets()
                return await self._read(platform, said.log_source)
        except GatewayError as error:
            if error.reason is Reason.UNSUPPORTED:
                return True
            self._is_late = True
            self._is_down = error.reason is Reason.CONNECTOR_DOWN
            self._denials = self._denials + 1 if error.reason is Reason.NOT_FOUND else 0
            if error.reason in EXPIRED:
                self._search(START)
            log.info("log stream cut", job_id=self._job.id, reason=error.reason, error=error.message)
            return False

    async def _read(self, platform: Platform, source: LogSource) -> bool:
        way, self._planned = self._planned or self._usual(source), None
        start = START if way.is_from_start else way.place
        stream = platform.logs(self._job.platform_job_id, cursor=start.cursor, after_line=start.source_lines)
        try:
            async with aclosing(stream):
                is_end = await self._take_all(stream, way)
            self._check_early_end(way)
        except Differs:
            self._search(way.agreed if isinstance(way, Replay) else START)
            return False
        finally:
            self._gap = way.gap
        if isinstance(way, Search) and not way.is_found:
            self._planned = way.give_up()
            return False
        return is_end

    def _usual(self, source: LogSource) -> Continuation:
        stored = self._log.segments.mark.place
        # A connector that came to have cursors while the job ran has to read up to here once more.
        if source is LogSource.REPLAY or (source is LogSource.CURSOR and not stored.cursor and stored.source_lines):
            return Replay(stored, self._log.segments.checks() if stored.source_lines else {})
        if source is not LogSource.TAIL_ONLY:
            return Onward(stored)
        opened = replace(stored, is_opened=True)
        if not stored.is_opened:
            # Noted first: after a crash nobody knows what came meanwhile.
            self._log.segments.append([], opened)
        return Onward(opened, TAIL_GAP if stored.is_opened or self._is_late else "")

    def _check_early_end(self, way: Continuation) -> None:
        """Compare the end of a log that has fewer lines than are stored: it may be late, or another one."""
        if not isinstance(way, Replay) or way.missing_lines <= 0 or not way.unchecked:
            return
        segments = self._log.segments
        last_seq = segments.mark.last_seq - way.missing_lines
        came = list(shown(way.unchecked, self._redactor))
        stored = segments.texts(last_seq - len(came), last_seq)
        is_deleted = 0 < segments.kept_after >= last_seq
        if not is_deleted and (not stored or came[-len(stored) :] != stored):
            raise Differs

    def _search(self, agreed: Place) -> None:
        """Look for the last stored lines in the next stream."""
        segments, last_seq = self._log.segments, self._log.segments.mark.last_seq
        log.warning("log changed at its source", job_id=self._job.id, last_seq=last_seq)
        self._planned = Search(segments.mark.place, segments.texts(last_seq - WINDOW, last_seq), agreed)

    async def _take_all(self, stream: AsyncGenerator[SourceBatch, None], way: Continuation) -> bool:
        while batch := await self._next_batch(stream, way):
            texts = [line.text for line in batch.lines]
            known = way.take(texts, partial(shown, texts, self._redactor), batch.cursor)
            if known < len(texts):
                fresh = batch if not known else replace(batch, lines=batch.lines[known:], encode=None)
                await self._take(fresh, texts[known:], way)
            if batch.is_end:
                return True
        return False

    async def _next_batch(self, stream: AsyncGenerator[SourceBatch, None], way: Continuation) -> SourceBatch | None:
        """Return the next batch; None = the stream was cut, or does not have what is looked for."""
        if way.patience_seconds is None:
            return await anext(stream, None)
        reading = asyncio.ensure_future(_next(stream))
        try:
            await asyncio.wait([reading], timeout=way.patience_seconds)
            if not reading.done() and isinstance(way, Search):
                return None
            if not reading.done():
                self._check_early_end(way)
            return await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _take(self, fresh: SourceBatch, texts: Sequence[str], way: Continuation) -> None:
        # Credentials may have been rotated since the last lines came.
        await self._learn_secrets()
        segments = self._log.segments
        first_seq = segments.mark.last_seq + 1
        if self._measure is not None and self._is_measured:
            # Before the lines are stored: after a crash they come again, and give the same points.
            await self._measure(self._job.id, fresh.lines, first_seq)
        now = self._clock.now()
        prepared = prepare(
            fresh.lines,
            first_seq=first_seq,
            redact=self._redactor,
            now=now,
            texts=texts,
            encode_together=fresh.encode,
        )
        gap = encode_gap(first_seq, 0, way.gap) if way.gap else b""
        segments.append(prepared.encoded, way.place, latest=prepared.latest, gap=gap)
        way.gap = ""
        self._backoff.reset()
        self._log.changed.notify()

    async def _learn_secrets(self) -> None:
        self._redactor = await self._find_redactor(self._job.connection_id)

    async def _pause(self, shortest: float) -> None:
        """Wait until the next stream is to be opened; the job's end, if it comes meanwhile, ends the wait."""
        delay = min(self._backoff.next_seconds(), DOWN_SECONDS if self._is_down else MAX_DELAY_SECONDS)
        if self._job_ended.is_set():
            await asyncio.sleep(delay)
            return
        try:
            async with asyncio.timeout(max(delay, shortest)):
                await self._job_ended.wait()
        except TimeoutError:
            return


async def _next(stream: AsyncGenerator[SourceBatch, None]) -> SourceBatch | None:
    return await anext(stream, None)
