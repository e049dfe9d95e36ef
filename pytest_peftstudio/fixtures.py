"""The fixtures."""

from __future__ import annotations

import re
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pytest_asyncio import fixture as async_fixture

from pytest_peftstudio.hooks import CONNECTOR, RECORD, RECORDED

if TYPE_CHECKING:
    from connector_sdk._connections import Factory
    from connector_sdk.testing import ConnectorHarness, FakePlatform
    from connector_sdk.testing.recording import RecordedHttp

CASSETTES = "cassettes"


@pytest.fixture
def connector_factory(request: pytest.FixtureRequest) -> Factory:
    """Return the class under test, of the marker `connector` or the setting `peftstudio_connector`.

    Override it to change what a connector is made with, e.g. an address that stands in its code.
    """
    marker = request.node.get_closest_marker("connector")
    target = _said(marker, "target") if marker else request.config.getini(CONNECTOR)
    if not target:
        pytest.fail(f"Say which connector is tested: {CONNECTOR} in pytest's settings, or a marker.", pytrace=False)
    return _loaded(target, request.config.rootpath) if isinstance(target, str) else target


@async_fixture
async def connector(connector_factory: Factory, tmp_path: Path) -> AsyncIterator[ConnectorHarness]:
    """Serve the connector over a real socket; `connector.connect(…)` opens a connection, `connector.stub` calls it."""
    from connector_sdk.testing import ConnectorHarness

    async with ConnectorHarness(connector_factory, work_dir=tmp_path) as harness:
        yield harness


@async_fixture
async def platform(request: pytest.FixtureRequest) -> AsyncIterator[FakePlatform]:
    """Serve a platform that rents out machines, with nothing rented and no faults: `platform.faults` has those."""
    from connector_sdk.testing.in_thread import in_thread
    from connector_sdk.testing.platform.api import load_api
    from connector_sdk.testing.platform.handle import platform_at
    from connector_sdk.testing.platform.serving import served

    # Handlers find the account in `request["account"]`; aiohttp would rather have keys that older versions of it lack.
    # pytest takes the filter back when the test ends.
    warnings.filterwarnings("ignore", ".*web.RequestKey", module="connector_sdk.testing")
    marker = request.node.get_closest_marker("platform")
    api = _said(marker, "api") if marker else None
    with in_thread(served(() if api is None else (load_api(api) if isinstance(api, str) else api,))) as url:
        async with platform_at(url) as running:
            yield running


@pytest.fixture
def recorded_http(request: pytest.FixtureRequest) -> Iterator[RecordedHttp]:
    """Answer as the platform did when the test's cassette was recorded; record it with `--record-http FILE`.

    Options are those of the marker `recorded_http`.
    """
    from connector_sdk.testing.recording import CassetteError

    try:
        with _opened(request) as recorded:
            recorded.is_kept = False  # until the test has passed
            request.node.stash[RECORDED] = recorded
            yield recorded
    except CassetteError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _said(marker: pytest.Mark, name: str) -> Any:
    """Return what a marker says, by name or not: pytest takes a class that is said without a name for a test."""
    return marker.kwargs[name] if name in marker.kwargs else marker.args[0]


def _opened(request: pytest.FixtureRequest) -> AbstractContextManager[RecordedHttp]:
    from connector_sdk.testing.recording import CassetteError, record_http, replay_http

    marker = request.node.get_closest_marker("recorded_http")
    options: dict[str, Any] = dict(marker.kwargs) if marker else {}
    path = _cassette(request, options.pop("cassette", ""))
    addresses = {name: options.pop(name) for name in ("platform", "others") if name in options}
    account = request.config.getoption(RECORD)
    if account:
        options.pop("ignore", None)
        return record_http(path, **addresses, **{**options, "credentials": _credentials(Path(account))})
    if not path.exists():
        raise CassetteError(f"There is no cassette {path}: record it by `pytest {RECORD} FILE {request.node.nodeid}`.")
    return replay_http(path, **options)


def _cassette(request: pytest.FixtureRequest, name: str) -> Path:
    """Return a test's own cassette, beside its file."""
    own = f"{request.path.stem}/{re.sub(r'[^A-Za-z0-9_.-]+', '-', request.node.name).strip('-')}.json"
    return request.path.parent / CASSETTES / (name or own)


def _credentials(path: Path) -> Mapping[str, str]:
    from connector_sdk.conformance.options import read_credentials

    return read_credentials(path).accepted


@cache
def _loaded(target: str, root: Path) -> Factory:
    from connector_sdk._load import find
    from connector_sdk._start import StartError

    file, colon, name = target.partition(":")
    try:
        return find(f"{root / file}{colon}{name}" if file.endswith(".py") else target)
    except StartError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
