"""Options, markers, and the failure of a test whose connector asked what was not recorded."""

from __future__ import annotations

import traceback
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from connector_sdk.testing.recording import RecordedHttp

RECORD = "--record-http"
CONNECTOR = "peftstudio_connector"
MARKERS = (
    "connector(target): what `connector` serves: FILE.py[:Class], module[:Class], or target= a class",
    "platform(api): what `platform` serves in place of its own API: module:Class, or api= a class",
    "recorded_http(platform, others, credentials, ignore, hide, cassette): what `recorded_http` stands for, and how",
)
ADVICE = """

If the connector is right, record the test again: pytest {record} FILE {test}
What is another one in each run can be ignored: @pytest.mark.recorded_http(ignore=["name"])"""
RECORDED: pytest.StashKey[RecordedHttp] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what is said on the command line and in the project's settings."""
    group = parser.getgroup("peftstudio", "connectors of PEFT Studio Connect")
    group.addoption(
        RECORD,
        metavar="FILE",
        help="record tests with `recorded_http` against the platform, with the credentials in FILE (JSON)",
    )
    parser.addini(CONNECTOR, "the connector under test: FILE.py[:Class] or module[:Class]", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test whose connector asked what was not recorded, whatever the connector made of the answer."""
    recorded = item.stash.get(RECORDED, None)
    if recorded is None:
        return (yield)
    try:
        result = yield
    except BaseException as error:
        _check(recorded, item, error)
        raise
    _check(recorded, item)
    recorded.is_kept = True
    return result


def _check(recorded: RecordedHttp, item: pytest.Item, error: BaseException | None = None) -> None:
    from connector_sdk.testing.recording import UnansweredError

    try:
        recorded.check()
    except UnansweredError as unanswered:
        advice = "" if recorded.is_recording else ADVICE.format(record=RECORD, test=item.nodeid)
        ending = f"\n\nThe test itself ended with {_first_line(error)}" if error else ""
        raise pytest.fail.Exception(f"{unanswered}{advice}{ending}", pytrace=False) from None


def _first_line(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = str(error).strip().splitlines() or [""]
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    where = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}{where}: {lines[0]}"
