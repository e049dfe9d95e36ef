"""Ledgers as earlier versions of the gateway left them: migrated up to theirs, with rows in every table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, MetaData

from gateway.store import migrate
from gateway.store.dialect import Dialect

Value = str | int | float | bytes | None
Rows = Mapping[str, Sequence[Mapping[str, Value]]]

CONFIG = '{"base_model": "m", "dataset_uri": "d", "algorithm": "lora", "document": "{\\"rank\\":8}"}'
PRICE = (
    '{"resource_id": "gpu", "not_priced": false, "currency": "USD", "amount_micros": 7, "unit": "HOUR", '
    '"billing_increment_seconds": 60, "minimum_seconds": 0, "spot_amount_micros": null, "source": "LIVE", "as_of": 5}'
)


def _job(number: int, **changes: Value) -> dict[str, Value]:
    return {
        "id": f"job-{number}",
        "connection_id": "conn-1",
        "connector_id": "lab",
        "config": CONFIG,
        "submission_token": f"token-{number}",
        "request_id": None,
        "request_hash": "hash",
        "resource_id": "gpu",
        "limits": '{"max_cost_micros": 9, "max_duration": 60.5, "max_price_micros_per_hour": 0}',
        "labels": '{"team": "a", "odd\\u0000": "b"}',
        "state": "RUNNING",
        "reason": "UNSPECIFIED",
        "message": "it runs",
        "raw_state": "Running",
        "platform_job_id": f"remote-{number}",
        "attempt": 2,
        "revision": 5,
        "change": number,
        "progress": '{"percentage": 50.0, "step": 1, "total_steps": 2, "estimated_remaining_seconds": null}',
        "exit_code": None,
        "resource_state": "HELD",
        "price": PRICE,
        "created_at": 1_000_000,
        "updated_at": 2_000_000,
        "started_at": 1_500_000,
        "ended_at": None,
        "observed_at": 2_000_000,
        "last_error": "",
        "last_log_seq": 3,
        "is_log_open": 1,
        "metrics_cursor": "here",
        "holds": "[[1500000, null]]",
        "tokens": 11,
        **changes,
    }


def _metric(name: str, step: int, value: str) -> dict[str, Value]:
    return {"job_id": "job-1", "name": name, "attempt": 1, "step": step, "epoch": 0.5, "value": value, "time": step}


_FIRST: Rows = {
    "connections": [
        {
            "id": "conn-1",
            "connector_id": "lab",
            "name": "lab",
            "account": "me",
            "state": "ACTIVE",
            "message": "",
            "credentials": b"\x01sealed\x00",
            "created_at": 1,
            "verified_at": None,
        }
    ],
    "jobs": [
        _job(1),
        _job(
            2, state="SUCCEEDED", request_id="wish", labels="{}", is_log_open=0, exit_code=0, ended_at=3, progress=None
        ),
    ],
    "ledger_identity": [{"id": "0a1b2c3d"}],
    "job_events": [
        {"job_id": "job-1", "seq": seq, "time": seq, "kind": "k", "state": "RUNNING", "message": f"m{seq}"}
        for seq in (1, 2)
    ],
    # They came in this order.
    "metrics": [_metric("loss", 2, "0.5"), _metric("loss", 3, "nan"), _metric("a", 4, "1e-05")],
    "artifacts": [
        {
            "job_id": "job-2",
            "id": "w",
            "path": "w.safetensors",
            "kind": "ADAPTER",
            "size": 2**40,
            "sha256": "s" * 64,
            "etag": "e",
            "state": "VERIFIED",
            "unsafe": 1,
        }
    ],
    "uploads": [
        {
            "id": "up-1",
            "purpose": "DATASET",
            "name": "n",
            "size": 3,
            "sha256": "d" * 64,
            "connection_id": "",
            "metadata": "{}",
            "uri": "",
            "created_at": 1,
        }
    ],
    "datasets": [{"sha256": "d" * 64, "name": "n", "size": 3, "created_at": 1}],
    "disabled_connectors": [{"connector_id": "off"}],
}

_SECOND: Rows = {
    **_FIRST,
    "metrics": [{**row, "place": place} for place, row in enumerate(_FIRST["metrics"], start=1)],
    "job_labels": [
        {"key": "team", "value": "a", "job_id": "job-1"},
        {"key": "odd\N{REPLACEMENT CHARACTER}", "value": "b", "job_id": "job-1"},
    ],
    "ledger_owner": [],
}

_THIRD: Rows = {
    **_SECOND,
    "deployments": [
        {
            "id": "dep-1",
            "connection_id": "conn-1",
            "connector_id": "lab",
            "request_id": None,
            "request_hash": "hash",
            "model": "adapter",
            "base_model": "m",
            "resource_id": "gpu",
            "options": "{}",
            "state": "RUNNING",
            "message": "",
            "platform_id": "remote-1",
            "endpoint_url": "https://endpoint.example",
            "created_at": 1,
            "updated_at": 2,
            "stopped_at": None,
        }
    ],
}

ROWS: Mapping[str, Rows] = {"0001": _FIRST, "0002": _SECOND, "0003": _THIRD}
"""What a ledger of each earlier revision holds; a new migration adds the one before it."""


async def make(dialect: Dialect, revision: str) -> None:
    """Make a ledger of an earlier revision."""
    async with dialect.migrating.connect() as connection:
        await dialect.begin_migration(connection)
        await connection.run_sync(migrate.upgrade, revision)
        await connection.run_sync(_insert, ROWS[revision])
        await connection.commit()
    await dialect.migrating.dispose()


def _insert(connection: Connection, rows: Rows) -> None:
    tables = MetaData()
    tables.reflect(connection)
    assert set(rows) == set(tables.tables) - {"alembic_version"}
    for name, found in rows.items():
        for row in found:
            # Every column is given: today's defaults are not those of earlier versions.
            assert set(row) == set(tables.tables[name].columns.keys())
            connection.execute(tables.tables[name].insert().values(row))
