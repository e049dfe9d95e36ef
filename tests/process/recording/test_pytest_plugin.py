"""The plugin as authors meet it: a project, pytest on its command line, and a platform that comes and goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from connector_sdk.testing.in_thread import in_thread
from connector_sdk.testing.platform.serving import served
from connector_sdk.testing.platform.world import KEY

pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore:.*web.RequestKey")]

CONNECTOR = """
import aiohttp
from connectors.base import PlatformConnector


class AcmeConnector(PlatformConnector):
    name = "acme"

    async def connect(self, credentials):
        headers = {"Authorization": f"Bearer {credentials['api_key']}"}
        self.session = aiohttp.ClientSession(credentials["base_url"], headers=headers)
        async with self.session.get("/v1/account") as answer:
            return answer.status == 200

    async def disconnect(self):
        await self.session.close()

    async def submit_job(self, config):
        async with self.session.post("/v1/jobs", json={"tag": config.base_model}) as answer:
            return (await answer.json())["id"] if answer.status == 201 else "no job"

    async def get_job_status(self, job_id): ...
    async def stream_logs(self, job_id): ...
    async def fetch_artifact(self, job_id): ...
    async def upload_artifact(self, path, metadata): ...
    async def list_resources(self): ...
    async def get_pricing(self, resource_id): ...
"""
TEST = """
import os
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1.training_config_pb2 import TrainingConfig


async def test_submit(connector, recorded_http):
    connection = await connector.connect(recorded_http.credentials)
    config = TrainingConfig(base_model=os.environ.get("MODEL", "m"), dataset_path="d")
    request = pb.SubmitJobRequest(connection_id=connection, submission_token="t", config=config)
    job = await connector.stub.SubmitJob(request)
    assert job.platform_job_id == "no job" or "FAIL" not in os.environ
"""
SETTINGS = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
peftstudio_connector = acme_connector.py
filterwarnings = error
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makefile(".ini", pytest=SETTINGS)
    pytester.makepyfile(acme_connector=CONNECTOR, test_acme=TEST)
    return pytester


@contextmanager
def account(project: pytest.Pytester) -> Iterator[None]:
    """Keep a platform, and a file with an account of it, until the block ends."""
    with in_thread(served()) as url:
        given = json.dumps({"base_url": url, "api_key": KEY})
        path = project.path / "credentials.json"
        path.write_text(given)
        yield
        path.unlink()


def record(project: pytest.Pytester) -> pytest.RunResult:
    return project.runpytest_subprocess("-p", "no:cacheprovider", "--record-http", "credentials.json")


def replay(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def test_what_was_recorded_passes_without_the_platform_and_without_the_key(project: pytest.Pytester) -> None:
    with account(project):
        record(project).assert_outcomes(passed=1)
    cassette = project.path / "cassettes" / "test_acme" / "test_submit.json"
    assert KEY not in cassette.read_text()
    before = cassette.read_bytes()
    replay(project).assert_outcomes(passed=1)
    assert cassette.read_bytes() == before


def test_a_request_that_was_not_recorded_fails_a_test_that_would_pass(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    with account(project):
        record(project).assert_outcomes(passed=1)
    monkeypatch.setenv("MODEL", "another")
    result = replay(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "There is no recorded answer to",
            '*POST http://127.0.0.1:*/v1/jobs {"tag": "another"}',
            "The nearest recorded request is number 2 of 2,",
            '*body.tag is "another", and was "m"',
            "If the connector is right, record the test again: pytest --record-http FILE test_acme.py::test_submit",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_test_that_fails_writes_no_cassette(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIL", "1")
    with account(project):
        record(project).assert_outcomes(failed=1)
    assert not (project.path / "cassettes").exists()


def test_a_test_that_is_not_reached_writes_no_cassette(project: pytest.Pytester) -> None:
    project.makeconftest("import pytest\n\n@pytest.fixture\ndef broken(recorded_http):\n    raise OSError('broken')\n")
    project.makepyfile(test_acme="async def test_submit(recorded_http, broken): ...")
    with account(project):
        record(project).assert_outcomes(errors=1)
    assert not (project.path / "cassettes").exists()


def test_a_missing_cassette_says_how_it_is_recorded(project: pytest.Pytester) -> None:
    result = replay(project)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*record it by `pytest --record-http FILE test_acme.py::test_submit`."])


def test_markers_say_what_is_tested_and_against_what(pytester: pytest.Pytester) -> None:
    pytester.makefile(".ini", pytest=SETTINGS.replace("peftstudio_connector = acme_connector.py", ""))
    pytester.makepyfile(
        acme_connector=CONNECTOR,
        test_marked="""
        import aiohttp
        import psutil
        import pytest
        from aiohttp import web
        from acme_connector import AcmeConnector

        class Other(AcmeConnector):
            name = "other"

        class Api:
            def __init__(self, world):
                self.world = world

            def routes(self):
                return [web.get("/v1/account", self.account, name="account")]

            async def account(self, request):
                return web.json_response({"mine": request["account"]})

        @pytest.mark.connector(target=Other)
        @pytest.mark.platform(api=Api)
        async def test_objects(connector, platform):
            await connector.connect(platform.credentials)
            assert len(await platform.arrivals("account")) == 1
            assert not psutil.Process().children()  # all of it is here, which is why it takes milliseconds
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{platform.url}/v1/jobs") as answer:
                    assert answer.status == 404

        @pytest.mark.connector("acme_connector.py:AcmeConnector")
        async def test_names(connector, platform):
            await connector.connect(platform.credentials)
            assert await platform.rentals() == []

        async def test_nothing_said(connector):
            raise AssertionError("not reached")
        """,
    )
    result = replay(pytester)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["Say which connector is tested: peftstudio_connector in pytest's settings, or a marker."]
    )


def test_a_project_that_does_not_use_it_pays_for_no_import(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_imported(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("pytest_peftstudio")
            heavy = {"connector_sdk", "connectors", "gateway", "peftstudio", "grpc", "aiohttp", "pydantic", "google"}
            assert not heavy & {name.partition(".")[0] for name in sys.modules}
        """
    )
    replay(pytester, "--strict-markers").assert_outcomes(passed=1)
