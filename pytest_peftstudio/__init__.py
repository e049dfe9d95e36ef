"""The pytest plugin: what a connector is tested with, as fixtures (docs/testing.md).

Every pytest of an environment loads it, so it imports nothing but pytest until a fixture is used.
"""

from __future__ import annotations

from pytest_peftstudio.fixtures import connector, connector_factory, platform, recorded_http
from pytest_peftstudio.hooks import pytest_addoption, pytest_configure, pytest_runtest_call

__all__ = [
    "connector",
    "connector_factory",
    "platform",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_call",
    "recorded_http",
]
