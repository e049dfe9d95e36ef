"""The ledger's tables. Every change here comes with a migration in `migrations/versions`.

Times are microseconds since 1970 (UTC) in 64-bit integers: exact, sortable and the same on every database.
Values that the gateway only keeps and hands on are JSON text.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, MetaData, Table

from gateway.store.columns import Text, Word

metadata = MetaData()

connections = Table(
    "connections",
    metadata,
    Column("id", Word(64), primary_key=True),
    Column("connector_id", Word(64), nullable=False),
    Column("name", Word(100), nullable=False, unique=True),
    Column("account", Text, nullable=False, default=""),
    Column("state", Word(16), nullable=False),
    Column("message", Text, nullable=False, default=""),
    Column("credentials", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("verified_at", BigInteger),
)

former_credentials = Table(
    "former_credentials",
    metadata,
    # What a job began with and may still print, once its connection has other ones.
    Column("id", Integer, primary_key=True),
    Column("connection_id", Word(64), nullable=False),
    Column("job_id", Word(64), nullable=False),
    Column("credentials", LargeBinary, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Word(64), primary_key=True),
    Column("connection_id", Word(64), nullable=False),
    Column("connector_id", Word(64), nullable=False),
    Column("config", Text, nullable=False),
    Column("submission_token", Word(64), nullable=False, unique=True),
    Column("request_id", Word(128), unique=True),
    Column("request_hash", Word(64), nullable=False, default=""),
    Column("resource_id", Text, nullable=False, default=""),
    Column("limits", Text, nullable=False, default="{}"),
    Column("labels", Text, nullable=False, default="{}"),
    Column("state", Word(16), nullable=False),
    Column("reason", Word(32), nullable=False),
    Column("message", Text, nullable=False, default=""),
    Column("raw_state", Text, nullable=False, default=""),
    Column("platform_job_id", Text, nullable=False, default=""),
    Column("attempt", Integer, nullable=False, default=1),
    Column("revision", BigInteger, nullable=False, default=1),
    Column("change", BigInteger, nullable=False),
    Column("progress", Text),
    Column("exit_code", Integer),
    Column("resource_state", Word(20), nullable=False),
    Column("price", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("observed_at", BigInteger),
    Column("last_error", Text, nullable=False, default=""),
    Column("last_log_seq", BigInteger, nullable=False, default=0),
    Column("is_log_open", Integer, nullable=False, default=1),
    Column("metrics_cursor", Text, nullable=False, default=""),
    Column("holds", Text, nullable=False, default="[]"),
    Column("tokens", BigInteger, nullable=False, default=0),
    # Each is a list of jobs in the order of their submission, so that a page costs the same however many there are.
    Index("jobs_by_state", "state", "id"),
    Index("jobs_by_connection", "connection_id", "state", "id"),
    Index("jobs_by_connector", "connector_id", "state", "id"),
    Index("jobs_by_open_log", "is_log_open"),
    Index("jobs_by_change", "change"),
)

job_labels = Table(
    "job_labels",
    metadata,
    # The labels of `jobs.labels` once more, to be found by.
    Column("key", Word(100), primary_key=True),
    Column("value", Word(100), primary_key=True),
    Column("job_id", Word(64), primary_key=True),
)

ledger_identity = Table(
    "ledger_identity",
    metadata,
    # What tells this ledger's jobs from another gateway's at the same platform.
    Column("id", Word(16), primary_key=True),
)

ledger_owner = Table(
    "ledger_owner",
    metadata,
    # The run of a gateway that took a ledger on a server last.
    Column("id", Word(16), primary_key=True),
)

job_events = Table(
    "job_events",
    metadata,
    Column("job_id", Word(64), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("time", BigInteger, nullable=False),
    Column("kind", Word(32), nullable=False),
    Column("state", Word(16), nullable=False),
    Column("message", Text, nullable=False),
)

metrics = Table(
    "metrics",
    metadata,
    Column("job_id", Word(64), primary_key=True),
    Column("name", Word(100), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("epoch", Float, nullable=False),
    # Text, because SQLite turns NaN into NULL.
    Column("value", Word(32), nullable=False),
    Column("time", BigInteger, nullable=False),
    # Where the point stands in the order in which its job's points came; one that is replaced keeps its place.
    Column("place", BigInteger, nullable=False),
    Index("metrics_by_place", "job_id", "place"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("job_id", Word(64), primary_key=True),
    Column("id", Word(512), primary_key=True),
    Column("path", Text, nullable=False),
    Column("kind", Word(16), nullable=False),
    Column("size", BigInteger),
    Column("sha256", Word(64), nullable=False, default=""),
    Column("etag", Text, nullable=False, default=""),
    Column("state", Word(16), nullable=False),
    Column("unsafe", Integer, nullable=False, default=0),
    Index("artifacts_by_sha256", "sha256"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", Word(64), primary_key=True),
    Column("purpose", Word(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Word(64), nullable=False),
    Column("connection_id", Word(64), nullable=False, default=""),
    Column("metadata", Text, nullable=False, default="{}"),
    Column("uri", Text, nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
)

datasets = Table(
    "datasets",
    metadata,
    Column("sha256", Word(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

disabled_connectors = Table(
    "disabled_connectors",
    metadata,
    Column("connector_id", Word(64), primary_key=True),
)

deployments = Table(
    "deployments",
    metadata,
    Column("id", Word(64), primary_key=True),
    Column("connection_id", Word(64), nullable=False),
    Column("connector_id", Word(64), nullable=False),
    Column("request_id", Word(128), unique=True),
    Column("request_hash", Word(64), nullable=False),
    Column("model", Text, nullable=False),
    Column("base_model", Text, nullable=False),
    Column("resource_id", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("state", Word(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("platform_id", Text, nullable=False),
    Column("endpoint_url", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("stopped_at", BigInteger),
    Index("deployments_by_connection", "connection_id", "state"),
    Index("deployments_by_state", "state", "id"),
)
