"""Tables of runs: what a run is at birth, where it stands, and first answers to its requests."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from runstore_storage.sql.tables.columns import (
    id_column,
    payload_columns,
    salt_column,
    subjects_column,
    text_column,
    time_column,
    usage_columns,
)
from runstore_storage.sql.tables.metadata import metadata

runs = Table(
    "runs",
    metadata,
    Column("run", BigInteger, Identity(always=True), nullable=False),
    id_column("project"),
    id_column("run_id"),
    text_column("plan_id"),
    text_column("objective"),
    *payload_columns("plan"),
    Column("parent", BigInteger),
    Column("fork_parent", BigInteger),
    Column("fork_seq", BigInteger),
    Column("lineage", JSONB),
    Column("external_ref", JSONB),
    Column("config_refs", JSONB, nullable=False, server_default="[]"),
    Column("tags", ARRAY(Text), nullable=False, server_default="{}"),
    Column("labels", JSONB, nullable=False, server_default="{}"),
    Column("body_hash", LargeBinary, nullable=False),
    salt_column(),
    subjects_column(),
    time_column("created_at"),
    PrimaryKeyConstraint("run", name="pk_runs"),
    UniqueConstraint("project", "run_id", name="uq_runs_project_run_id"),
    ForeignKeyConstraint(["parent"], ["runs.run"], name="fk_runs_parent"),
    ForeignKeyConstraint(["fork_parent"], ["runs.run"], name="fk_runs_fork_parent"),
    CheckConstraint("num_nonnulls(fork_parent, fork_seq, lineage) IN (0, 3)", name="ck_runs_fork"),
    CheckConstraint("project <> '' AND run_id <> ''", name="ck_runs_identity"),
    Index("ix_runs_project", "project", "run"),
    Index("ix_runs_parent", "parent", postgresql_where=text("parent IS NOT NULL")),
    Index(
        "ix_runs_fork_parent",
        "fork_parent",
        postgresql_where=text("fork_parent IS NOT NULL"),
    ),
    Index("ix_runs_plan", "project", "plan_id", "run", postgresql_where=text("plan_id <> ''")),
    Index("ix_runs_tags", "tags", postgresql_using="gin"),
    Index(
        "ix_runs_labels",
        "labels",
        postgresql_using="gin",
        postgresql_ops={"labels": "jsonb_path_ops"},
    ),
    Index(
        "ix_runs_config_refs",
        "config_refs",
        postgresql_using="gin",
        postgresql_ops={"config_refs": "jsonb_path_ops"},
    ),
    Index("ix_runs_created", "project", "created_at", "run"),
    Index(
        "ix_runs_external_ref",
        "external_ref",
        postgresql_using="gin",
        postgresql_ops={"external_ref": "jsonb_path_ops"},
        postgresql_where=text("external_ref IS NOT NULL"),
    ),
    Index(
        "ix_runs_objective",
        text("to_tsvector('simple', \"left\"(objective, 10000))"),
        postgresql_using="gin",
    ),
)

run_heads = Table(
    "run_heads",
    metadata,
    Column("run", BigInteger, nullable=False, autoincrement=False),
    Column("last_seq", BigInteger, nullable=False, server_default="0"),
    Column("last_hash", LargeBinary, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("outcome", SmallInteger, nullable=False, server_default="0"),
    Column("writer_epoch", BigInteger, nullable=False, server_default="1"),
    *usage_columns(nullable=False),
    time_column("updated_at"),
    time_column("completed_at", nullable=True),
    # Filled by a trigger: the run's project, and the hour of updated_at.
    Column("project", Text(collation="C")),
    time_column("updated_hour", nullable=True),
    Column("artifact_floor", BigInteger),
    Column("archived_through", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("run", name="pk_run_heads"),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_run_heads_run"),
    CheckConstraint("last_seq >= 0", name="ck_run_heads_last_seq"),
    CheckConstraint("writer_epoch >= 1", name="ck_run_heads_writer_epoch"),
    CheckConstraint("status BETWEEN 1 AND 6", name="ck_run_heads_status"),
    CheckConstraint(
        "completed_at IS NOT NULL OR (outcome = 0 AND status IN (1, 2, 6))",
        name="ck_run_heads_open",
    ),
    Index("ix_run_heads_updated", "project", "updated_hour"),
    Index(
        "ix_run_heads_completed",
        "project",
        "completed_at",
        "run",
        postgresql_where=text("completed_at IS NOT NULL"),
    ),
    Index("ix_run_heads_status", "project", "status", "run"),
    Index("ix_run_heads_archived", "run", postgresql_where=text("archived_through > 0")),
)

requests = Table(
    "requests",
    metadata,
    Column("run", BigInteger, nullable=False),
    id_column("request_id"),
    Column("body_hash", LargeBinary, nullable=False),
    salt_column(),
    Column("answer", JSONB, nullable=False),
    PrimaryKeyConstraint("run", "request_id", name="pk_requests"),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_requests_run"),
)
