"""Logs: each line once, in order, from any cursor."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import grpc

from connector_sdk.conformance.check import SkippedCheck, advise, check, expect
from connector_sdk.conformance.trial import Trial
from connector_sdk.conformance.wire import opened
from connector_sdk.conformance.work import Job, ended, running
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1.log_pb2 import LogLine

LOG_SECONDS = 15.0  # to read the log of a job that has ended
LONGEST_LINE_BYTES = 64 * 1024
SILENCE_SECONDS = 10.0  # the protocol's longest
CUTS = 4  # places at which a log is continued


@check("logs.end", remedy="Send `end: true` in the last message once the job's log is complete.")
async def end(trial: Trial) -> None:
    """The log of a job that has ended is sent to its end, which is said in the last message."""
    batches = await _batches(trial)
    expect(bool(batches) and batches[-1].end, "the stream closed without `end`")
    expect(not any(batch.end for batch in batches[:-1]), "messages follow behind `end`")


@check("logs.lines", remedy="Send the lines that the job printed.")
async def lines(trial: Trial) -> None:
    """The log of a job that has ended has lines."""
    advise(bool(_lines(await _batches(trial))), "it is empty")


@check("logs.ordered", remedy="Number lines 1, 2, 3 … within the log, and send the oldest first.")
async def ordered(trial: Trial) -> None:
    """Lines that are numbered come in their order, without holes and without repetition."""
    numbers = [line.seq for line in _lines(await _batches(trial)) if line.seq]
    if not numbers:
        raise SkippedCheck("the lines are not numbered")
    wrong = next((pair for pair in itertools.pairwise(numbers) if pair[1] != pair[0] + 1), None)
    expect(wrong is None, f"behind line {wrong and wrong[0]} comes line {wrong and wrong[1]}")


@check("logs.first", remedy="Start at the first line of the log when no cursor and no line number is given.")
async def first(trial: Trial) -> None:
    """Read from its start, the log begins with line 1."""
    if (await trial.description()).log_source == pb.LOG_SOURCE_TAIL_ONLY:
        raise SkippedCheck("its log starts at present")
    numbers = [line.seq for line in _lines(await _batches(trial)) if line.seq]
    if not numbers:
        raise SkippedCheck("the lines are not numbered")
    expect(numbers[0] == 1, f"the first line has number {numbers[0]}")


@check("logs.text", remedy="Cut lines at 64 KiB, set `truncated`, and leave their line ends out.")
async def text(trial: Trial) -> None:
    """A line has no line end and at most 64 KiB."""
    for line in _lines(await _batches(trial)):
        expect("\n" not in line.text, f"line {line.seq} has a line end: {line.text!r:.80}")
        expect(len(line.text.encode()) <= LONGEST_LINE_BYTES, f"line {line.seq} has more than 64 KiB")


@check("logs.again", remedy="Read the platform's log anew for each call, and change nothing by reading.")
async def again(trial: Trial) -> None:
    """Read again, the log is the same."""
    if (await trial.description()).log_source == pb.LOG_SOURCE_TAIL_ONLY:
        raise SkippedCheck("its log starts at present")
    job, before = await ended(trial), _lines(await _batches(trial))
    _expect_rest(await _read(trial, job), before, "the log read again")


@check("logs.cursors", remedy="Give every batch of lines the cursor behind its last line, or do not say CURSOR.")
async def cursors(trial: Trial) -> None:
    """Where the log is continued by cursor, every batch of lines has one."""
    for batch in await _cursor_batches(trial):
        expect(bool(batch.cursor), f"the batch with line {batch.lines[-1].seq} has no cursor")


@check(
    "logs.resumed", remedy="Continue exactly behind the cursor: the next line is the one behind the batch that had it."
)
async def resumed(trial: Trial) -> None:
    """From each cursor on, exactly the lines behind it are sent."""
    job, batches = await ended(trial), await _cursor_batches(trial)
    step = max(1, len(batches) // CUTS)
    for index in range(0, len(batches), step):
        rest = _lines(batches[index + 1 :])
        _expect_rest(await _read(trial, job, cursor=batches[index].cursor), rest, f"behind cursor {index + 1}")


@check("logs.resumed_at_end", remedy="Behind the last line, answer `end: true` and no line.")
async def resumed_at_end(trial: Trial) -> None:
    """From the last cursor on, the end is sent and nothing else."""
    job, batches = await ended(trial), await _cursor_batches(trial)
    rest = await _read(trial, job, cursor=batches[-1].cursor)
    expect(not _lines(rest), f"{len(_lines(rest))} lines come again")
    expect(bool(rest) and rest[-1].end, "the end is not said")


@check("logs.offset", remedy="Skip as many lines as `after_line` says, or do not say OFFSET.")
async def offset(trial: Trial) -> None:
    """Where the log is continued by line number, exactly the lines behind it are sent."""
    if (await trial.description()).log_source != pb.LOG_SOURCE_OFFSET:
        raise SkippedCheck("its log is not continued by line number")
    job, all_lines = await ended(trial), _lines(await _batches(trial))
    for after in {1, len(all_lines) // 2, len(all_lines)}:
        rest = await _read(trial, job, after_line=after)
        _expect_rest(rest, all_lines[after:], f"behind line {after}")


@check(
    "logs.strange_cursor", remedy="Answer CURSOR_EXPIRED to a cursor that you cannot use: the log is read anew then."
)
async def strange_cursor(trial: Trial) -> None:
    """A cursor that is nobody's is answered within time, and not with a bug."""
    if (await trial.description()).log_source != pb.LOG_SOURCE_CURSOR:
        raise SkippedCheck("its log is not continued by cursor")
    job, wire = await ended(trial), await trial.wire()
    _, refusal = await wire.attempt(job.log("no-such-cursor"), pb.StreamLogsResponse, seconds=LOG_SECONDS)
    advise(refusal is None or refusal.reason == "CURSOR_EXPIRED", str(refusal))


@check("logs.alive", remedy="Send a message without lines when a log is silent for 10 s.", seconds=SILENCE_SECONDS + 10)
async def alive(trial: Trial) -> None:
    """While a job runs and prints nothing, a sign of life comes at least every 10 s."""
    job, wire = await running(trial), await trial.wire()
    async with opened(wire, job.log(), seconds=SILENCE_SECONDS + 5) as call:
        assert isinstance(call, grpc.aio.UnaryStreamCall)
        try:
            async with asyncio.timeout(SILENCE_SECONDS + 2):
                async for batch in call:
                    if not batch.lines:  # type: ignore[attr-defined]
                        return
        except TimeoutError:
            expect(False, "nothing came for more than 10 s")
    raise SkippedCheck("the log never was silent")


async def _batches(trial: Trial) -> Sequence[pb.StreamLogsResponse]:
    async def read() -> Sequence[pb.StreamLogsResponse]:
        return await _read(trial, await ended(trial))

    return await trial.facts.get("a log", read)


async def _cursor_batches(trial: Trial) -> list[pb.StreamLogsResponse]:
    if (await trial.description()).log_source != pb.LOG_SOURCE_CURSOR:
        raise SkippedCheck("its log is not continued by cursor")
    found = [batch for batch in await _batches(trial) if batch.lines]
    if not found:
        raise SkippedCheck("the log is empty")
    return found


async def _read(trial: Trial, job: Job, cursor: str = "", after_line: int = 0) -> list[pb.StreamLogsResponse]:
    wire = await trial.wire()
    return await wire.read(job.log(cursor, after_line), pb.StreamLogsResponse, seconds=LOG_SECONDS)


def _lines(batches: Sequence[pb.StreamLogsResponse]) -> list[LogLine]:
    return [line for batch in batches for line in batch.lines]


def _expect_rest(batches: Sequence[pb.StreamLogsResponse], expected: Sequence[LogLine], place: str) -> None:
    texts, wanted = [line.text for line in _lines(batches)], [line.text for line in expected]
    pairs = enumerate(zip(texts, wanted, strict=False), start=1)
    wrong = next((number for number, (found, right) in pairs if found != right), None)
    expect(wrong is None, f"{place}: line {wrong} is another")
    expect(len(texts) == len(wanted), f"{place}: there are {len(texts)} lines, and should be {len(wanted)}")
