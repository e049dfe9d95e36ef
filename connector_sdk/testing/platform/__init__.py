"""A GPU-rental platform in a process of its own, with a REST API, jobs that run by a clock, and switches for faults.

What it keeps outlives connectors and gateways, so that a test can count the machines that were rented.
"""

from connector_sdk.testing.platform.api import PlatformApi
from connector_sdk.testing.platform.faults import Call, Conditions, ReplyFault
from connector_sdk.testing.platform.handle import FakePlatform, fake_platform
from connector_sdk.testing.platform.job import Job, JobSpec
from connector_sdk.testing.platform.jobs_api import job_of
from connector_sdk.testing.platform.rental import Rental
from connector_sdk.testing.platform.world import World

__all__ = [
    "Call",
    "Conditions",
    "FakePlatform",
    "Job",
    "JobSpec",
    "PlatformApi",
    "Rental",
    "ReplyFault",
    "World",
    "fake_platform",
    "job_of",
]
