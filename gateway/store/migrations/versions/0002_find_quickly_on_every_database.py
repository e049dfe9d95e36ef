"""Find jobs by every filter without reading others, and order metrics on every database."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BATCH_ROWS = 1000

_PLACES_SQLITE = "UPDATE metrics SET place = rowid"
_PLACES_POSTGRESQL = """UPDATE metrics SET place = numbered.place
FROM (SELECT ctid AS row, row_number() OVER (PARTITION BY job_id ORDER BY time, step, name, attempt) AS place
      FROM metrics) AS numbered
WHERE metrics.ctid = numbered.row"""


def upgrade() -> None:
    """Bring the schema forward."""
    op.create_table(
        "ledger_owner", sa.Column("id", sa.String(length=16), nullable=False), sa.PrimaryKeyConstraint("id")
    )
    _index_jobs()
    _index_labels()
    _number_metrics()
    op.create_index("artifacts_by_sha256", "artifacts", ["sha256"])


def _index_jobs() -> None:
    op.drop_index("jobs_by_state", "jobs")
    op.drop_index("jobs_by_connection", "jobs")
    op.create_index("jobs_by_state", "jobs", ["state", "id"])
    op.create_index("jobs_by_connection", "jobs", ["connection_id", "state", "id"])
    op.create_index("jobs_by_connector", "jobs", ["connector_id", "state", "id"])


def _index_labels() -> None:
    labels = op.create_table(
        "job_labels",
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("value", sa.String(length=100), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", "value", "job_id"),
    )
    jobs = sa.table("jobs", sa.column("id", sa.String), sa.column("labels", sa.String))
    query = sa.select(jobs.c.id, jobs.c.labels).order_by(jobs.c.id).limit(BATCH_ROWS)
    last = ""
    while rows := op.get_bind().execute(query.where(jobs.c.id > last)).all():
        last = rows[-1].id
        found = [
            {"key": _storable(key), "value": _storable(value), "job_id": row.id}
            for row in rows
            for key, value in json.loads(row.labels).items()
        ]
        if found:
            op.get_bind().execute(labels.insert(), found)


def _storable(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _number_metrics() -> None:
    op.add_column("metrics", sa.Column("place", sa.BigInteger(), nullable=True))
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.execute(_PLACES_SQLITE if is_sqlite else _PLACES_POSTGRESQL)
    with op.batch_alter_table("metrics") as metrics:
        metrics.alter_column("place", existing_type=sa.BigInteger(), nullable=False)
    op.create_index("metrics_by_place", "metrics", ["job_id", "place"])
