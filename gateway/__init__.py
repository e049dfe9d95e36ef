"""The gateway: one process between clients and connectors, which owns jobs, logs and credentials."""
