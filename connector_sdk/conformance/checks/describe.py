"""Describe says what is true."""

from __future__ import annotations

import re

from connector_sdk.conformance.check import advise, check, expect
from connector_sdk.conformance.methods import snake
from connector_sdk.conformance.trial import Trial
from connector_sdk.conformance.wire import METHODS
from peftstudio.connector.v1 import connector_service_pb2 as pb

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
FEATURES = frozenset({"training", "inference", "registry", "tracking"})
QUICK_SECONDS = 5.0  # nothing has to be asked for it
LONGEST_POLL_SECONDS = 3600.0
CAPABILITIES = frozenset(map(snake, METHODS)) | {"dry_run"}


@check("describe.answers", remedy="Answer Describe from constants; it needs no connection and asks no platform.")
async def answers(trial: Trial) -> None:
    """Describe is answered at once, with no connection open."""
    await (await trial.wire()).ask(pb.DescribeRequest(), pb.DescribeResponse, seconds=QUICK_SECONDS)


@check("describe.steady", remedy="Describe the program, not the moment.")
async def steady(trial: Trial) -> None:
    """Describe says the same each time."""
    again = await (await trial.wire()).ask(pb.DescribeRequest(), pb.DescribeResponse)
    expect(again == await trial.description(), "the second answer is another")


@check("describe.name", remedy="Name it in lower-case letters, digits, - and _, as in connector.toml.")
async def name(trial: Trial) -> None:
    """The name can be used in identifiers."""
    said = (await trial.description()).name
    expect(bool(NAME.fullmatch(said)), f"name is {said!r}")


@check("describe.words", remedy="Set display_name, description and sdk.")
async def words(trial: Trial) -> None:
    """The connector has a name and a sentence for people, and says what serves it."""
    said = await trial.description()
    missing = [field for field in ("display_name", "description", "sdk") if not getattr(said, field)]
    advise(not missing, f"{', '.join(missing)} is empty")


@check("describe.version", remedy="Count versions: flight records and reports name them.")
async def version(trial: Trial) -> None:
    """The connector has a version."""
    advise(bool((await trial.description()).version), "version is empty")


@check("describe.features", remedy=f"Features are {', '.join(sorted(FEATURES))}.")
async def features(trial: Trial) -> None:
    """The features are among those that there are."""
    strange = sorted(set((await trial.description()).features) - FEATURES)
    expect(not strange, f"there is no feature {', '.join(strange)}")


@check("describe.capabilities", remedy="A capability is an optional method of the contract in snake case, or dry_run.")
async def capabilities(trial: Trial) -> None:
    """The capabilities are methods of the contract, each told once."""
    said = list((await trial.description()).capabilities)
    strange = sorted(set(said) - CAPABILITIES)
    expect(not strange, f"there is no method {', '.join(strange)}")
    expect(len(set(said)) == len(said), f"one is told twice: {', '.join(said)}")


@check("describe.log_source", remedy="Say how a log can be continued: CURSOR, OFFSET, REPLAY or TAIL_ONLY.")
async def log_source(trial: Trial) -> None:
    """The way in which a log can be continued is told."""
    said = (await trial.description()).log_source
    expect(said in pb.LogSource.values(), f"log_source is {said}, which is none of the contract")
    advise(said != pb.LOG_SOURCE_UNSPECIFIED, "log_source is not told, and read as REPLAY")


@check("describe.submit_safety", remedy="FINDABLE needs FindJob: declare find_job, or say NONE.")
async def submit_safety(trial: Trial) -> None:
    """Who says that jobs are FINDABLE declares find_job."""
    said = await trial.description()
    expect(said.submit_safety in pb.SubmitSafety.values(), f"submit_safety is {said.submit_safety}")
    is_findable = said.submit_safety == pb.SUBMIT_SAFETY_FINDABLE
    expect(not is_findable or "find_job" in said.capabilities, "submit_safety is FINDABLE, without find_job")


@check("describe.limits", remedy="Limits are counts per minute and at a time; 0 says that there is none.")
async def limits(trial: Trial) -> None:
    """The limits are not negative, and the shortest time between two looks is at most an hour."""
    said = await trial.description()
    limits = said.rate_limits
    expect(limits.requests_per_minute >= 0 and limits.concurrent_jobs >= 0, f"rate_limits is {limits}")
    seconds = said.min_poll_interval.ToTimedelta().total_seconds()
    expect(0 <= seconds <= LONGEST_POLL_SECONDS, f"min_poll_interval is {seconds:g} s")


@check("describe.url", remedy="Give a whole URL, or none.")
async def url(trial: Trial) -> None:
    """The documentation's address is one of the web."""
    said = (await trial.description()).documentation_url
    expect(not said or said.startswith(("https://", "http://")), f"documentation_url is {said!r}")
