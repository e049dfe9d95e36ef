"""A connector that dies between renting a machine and saying so."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftstudio.gateway.v1 import connections_service_pb2, jobs_service_pb2
from peftstudio.job.v1.job_state_pb2 import JOB_REASON_SUBMIT_AMBIGUOUS, JOB_STATE_FAILED, JOB_STATE_SUCCEEDED
from tests.process.gateway.conftest import ended, notes, wish
from tests.support.gateway_process import GatewayProcess, gateway_process

pytestmark = pytest.mark.process


# F13
@pytest.mark.parametrize("connector", ["lab", "findable-lab", "careless-lab"])
async def test_a_connector_that_dies_behind_a_submission_rents_one_machine(
    gateway: GatewayProcess, connector: str
) -> None:
    async with gateway.connected() as stubs:
        await stubs.connections.Connect(
            connections_service_pb2.ConnectRequest(connector_id=connector, credentials={"api_key": "canary-77a1b2"}),
            timeout=30,
        )
        requests = [wish(f"wish-{number}", options={"dies": number == 1}) for number in range(3)]
        for request in requests:
            request.connection_id = connector
        jobs = []
        for request in requests:
            answer = await stubs.jobs.SubmitJob(request, timeout=30)
            jobs.append(await ended(stubs, answer.job.id))
        assert len(notes(gateway, "submitted", connector)) == 3
        if connector == "careless-lab":
            assert (jobs[1].state, jobs[1].reason) == (JOB_STATE_FAILED, JOB_REASON_SUBMIT_AMBIGUOUS)
            assert "end it there if it runs" in jobs[1].message
        else:
            assert [job.state for job in jobs] == [JOB_STATE_SUCCEEDED] * 3
        # The same wish again is the same job, and no other machine.
        again = await stubs.jobs.SubmitJob(requests[1], timeout=30)
        assert (again.replayed, again.job.id) == (True, jobs[1].id)
        known = await stubs.jobs.ListJobs(jobs_service_pb2.ListJobsRequest(), timeout=30)
        assert len(known.jobs) == 3
        assert len(notes(gateway, "submitted", connector)) == 3


async def test_a_machine_that_the_platforms_lists_show_seconds_later_is_found_and_not_rented_twice(
    tmp_path: Path,
) -> None:
    storm = Path(__file__).parents[2] / "support" / "storm"
    async with gateway_process(tmp_path / "data", "--plugins", str(storm)) as gateway, gateway.connected() as stubs:
        request = connections_service_pb2.ConnectRequest(connector_id="lagging", credentials={"api_key": "canary-5b"})
        await stubs.connections.Connect(request, timeout=30)
        submission = wish("wish-1", options={"dies": True, "lag": 4})
        submission.connection_id = "lagging"
        job_id = (await stubs.jobs.SubmitJob(submission, timeout=30)).job.id
        job = await ended(stubs, job_id)
        machines = [path.name for path in (gateway.data_dir / "instances" / "lagging" / "machines").iterdir()]
    assert job.state == JOB_STATE_SUCCEEDED
    assert machines == [job.platform_job_id]
