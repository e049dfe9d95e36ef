"""Run checks one after the other, each within its limit; whatever a connector does, the run goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

import grpc

from connector_sdk.conformance.check import AdvisedCheck, Check, FailedCheck, SkippedCheck
from connector_sdk.conformance.options import Options
from connector_sdk.conformance.refusal import Refusal
from connector_sdk.conformance.registry import CHECKS
from connector_sdk.conformance.result import Outcome, Report, Result
from connector_sdk.conformance.trial import Trial

DEATH_SECONDS = 2.0

Tell = Callable[[Result], None]


def chosen(options: Options) -> list[Check]:
    """Give the checks that the options want."""
    wanted = [one for one in CHECKS if options.has_chaos or not one.is_chaos]
    return [one for one in wanted if not options.only or {one.id, one.group} & set(options.only)]


async def run(options: Options, tell: Tell = lambda result: None, checks: Iterable[Check] | None = None) -> Report:
    """Check a connector; `tell` hears of each result as it comes."""
    started = time.monotonic()
    results = []
    async with Trial(options) as trial:
        for one in chosen(options) if checks is None else checks:
            result = await _run_one(one, trial)
            results.append(result)
            tell(result)
    return Report(target=_name(options), results=results, seconds=time.monotonic() - started)


async def _run_one(one: Check, trial: Trial) -> Result:
    started, before = time.monotonic(), len(trial.seen.refusals)
    outcome, seen = await _outcome(one, trial)
    process = trial.launched
    if process is not None and any(_is_cut(refusal) for refusal in trial.seen.refusals[before:]):
        # The socket of a process that dies is closed a moment before its exit code is there.
        await process.ends(DEATH_SECONDS)
    if process is not None and process.exit_code is not None and one.group != "ending":
        trial.forget_process()
        if outcome is not Outcome.SKIPPED and not one.is_chaos:
            outcome, seen = Outcome.FAILED, f"the process is gone: {process.state()}. {seen}".strip()
    return Result(check=one, outcome=outcome, seen=seen, seconds=time.monotonic() - started)


async def _outcome(one: Check, trial: Trial) -> tuple[Outcome, str]:
    try:
        async with asyncio.timeout(one.limit_seconds):
            await one.body(trial)
    except FailedCheck as failure:
        return Outcome.FAILED, str(failure)
    except AdvisedCheck as advice:
        return Outcome.ADVISED, str(advice)
    except SkippedCheck as reason:
        return Outcome.SKIPPED, str(reason)
    except TimeoutError:
        return Outcome.FAILED, f"it took more than {one.limit_seconds:g} s"
    except grpc.aio.AioRpcError as error:
        return Outcome.FAILED, f"a call ended with {error.code().name}: {error.details()}"
    except Exception as error:
        # What nobody thought of came from this connector: it is told, and the next check runs.
        return Outcome.FAILED, f"{type(error).__name__}: {error}"
    return Outcome.PASSED, ""


def _is_cut(refusal: Refusal) -> bool:
    return refusal.code is grpc.StatusCode.UNAVAILABLE and not refusal.infos


def _name(options: Options) -> str:
    if options.address is not None:
        return options.address.address
    return " ".join(_last_words(options.command))


def _last_words(command: Sequence[str]) -> Sequence[str]:
    return command[4:] if list(command[1:4]) == ["-m", "connector_sdk", "serve"] else command
