"""Name the SDK and the connectors that it serves."""

from __future__ import annotations

import re

from connector_sdk.connector import PlatformConnector

VERSION = "0.1.0"
SDK = f"peftstudio-connect-python/{VERSION}"


def name_of(connector_class: type[PlatformConnector]) -> str:
    """Give the connector's name in identifiers: its `name`, or else what its class is called."""
    said = connector_class.name or connector_class.__name__.removesuffix("Connector")
    return re.sub(r"[^a-z0-9_-]+", "-", said.lower()).strip("-")
