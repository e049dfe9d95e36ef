"""Puts what the gateway's owner says of a connector over what the connector says of itself."""

from __future__ import annotations

import json
from dataclasses import replace

from gateway.plugins.model import Description
from gateway.plugins.spec import Settings
from gateway.wire.struct import canonical


def with_settings(description: Description, settings: Settings) -> Description:
    """Return the description with the owner's limits, and with the owner's words where the connector has none."""
    schema = description.credentials_schema
    if settings.credentials_required and not json.loads(schema).get("properties"):
        schema = _schema(settings.credentials_required)
    return replace(
        description,
        credentials_schema=schema,
        features=description.features or settings.features,
        documentation_url=description.documentation_url or settings.documentation_url,
        requests_per_minute=settings.requests_per_minute or description.requests_per_minute,
        concurrent_jobs=settings.concurrent_jobs or description.concurrent_jobs,
    )


def _schema(names: tuple[str, ...]) -> str:
    return canonical(
        {
            "type": "object",
            "properties": {name: {"type": "string", "secret": True} for name in names},
            "required": names,
        }
    )
