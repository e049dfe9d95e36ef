"""Check any connector against the contract, over the wire: `peftstudio-connector check`, docs/conformance.md."""

from connector_sdk.conformance.options import Address, Credentials, Jobs, Options
from connector_sdk.conformance.registry import CHECKS
from connector_sdk.conformance.result import Outcome, Report, Result
from connector_sdk.conformance.runner import run
from connector_sdk.conformance.testing import check_target

__all__ = ["CHECKS", "Address", "Credentials", "Jobs", "Options", "Outcome", "Report", "Result", "check_target", "run"]
