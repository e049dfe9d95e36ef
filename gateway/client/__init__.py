"""The Python client of the gateway: `Client` for asyncio, `SyncClient` for notebooks and scripts."""

from gateway.client.client import Client
from gateway.client.download import Progress
from gateway.client.errors import (
    ClientError,
    GatewayCallError,
    InvalidConfigError,
    NoGatewayError,
    TransferError,
    Violation,
)
from gateway.client.job_streams import TERMINAL_STATES
from gateway.client.location import Location, Locator, default_data_dir
from gateway.client.sync import SyncClient
from gateway.client.training_config import training_config

__all__ = [
    "TERMINAL_STATES",
    "Client",
    "ClientError",
    "GatewayCallError",
    "InvalidConfigError",
    "Location",
    "Locator",
    "NoGatewayError",
    "Progress",
    "SyncClient",
    "TransferError",
    "Violation",
    "default_data_dir",
    "training_config",
]
