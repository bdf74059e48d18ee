"""The tables, as the newest migration leaves them.

Names are unqualified: every connection's search_path is the one schema runstore lives in. What a
table cannot say here (partitioning, triggers) stands in the migrations.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, TSVECTOR

from runstore_storage.sql.columns import USAGE

metadata = MetaData()


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def _id(name: str) -> Column[str]:
    """An identifier: compared byte by byte, whatever the database's locale."""
    return Column(name, Text(collation="C"), nullable=False)


def _time(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _payload(name: str) -> list[Column[object]]:
    """A payload's three columns: JSON text kept as sent, or bytes, and their media type."""
    return [
        Column(f"{name}_json", JSON),
        Column(f"{name}_binary", LargeBinary),
        Column(f"{name}_type", Text),
    ]


def _usage(*, nullable: bool) -> list[Column[int]]:
    default = None if nullable else "0"
    return [Column(name, BigInteger, nullable=nullable, server_default=default) for name in USAGE]


runs = Table(
    "runs",
    metadata,
    Column("run", BigInteger, Identity(always=True), nullable=False),
    _id("project"),
    _id("run_id"),
    _text("plan_id"),
    _text("objective"),
    *_payload("plan"),
    Column("parent", BigInteger),
    Column("fork_parent", BigInteger),
    Column("fork_seq", BigInteger),
    Column("lineage", JSONB),
    Column("external_ref", JSONB),
    Column("config_refs", JSONB, nullable=False, server_default="[]"),
    Column("tags", ARRAY(Text), nullable=False, server_default="{}"),
    Column("labels", JSONB, nullable=False, server_default="{}"),
    Column("body_hash", LargeBinary, nullable=False),
    _time("created_at"),
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
    *_usage(nullable=False),
    _time("updated_at"),
    _time("completed_at", nullable=True),
    # Filled by a trigger: the run's project, and the hour of updated_at.
    Column("project", Text(collation="C")),
    _time("updated_hour", nullable=True),
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
)

events = Table(
    "events",
    metadata,
    Column("run", BigInteger, nullable=False, autoincrement=False),
    Column("seq", BigInteger, nullable=False, autoincrement=False),
    _id("event_id"),
    Column("type", Text, nullable=False),
    _text("node_id"),
    _text("actor"),
    _text("model"),
    _text("tool"),
    Column("tags", ARRAY(Text), nullable=False, server_default="{}"),
    *_payload("payload"),
    Column("payload_bytes", Integer, nullable=False),
    *_usage(nullable=True),
    _text("trace_parent"),
    _time("occurred_at", nullable=True),
    _time("recorded_at"),
    Column("is_terminal", Boolean, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("payload_blob", BigInteger),
    PrimaryKeyConstraint("run", "seq", name="pk_events"),
    UniqueConstraint("run", "event_id", name="uq_events_event_id"),
    CheckConstraint("seq >= 1", name="ck_events_seq"),
    CheckConstraint("octet_length(hash) = 32", name="ck_events_hash"),
    Index("uq_events_terminal", "run", unique=True, postgresql_where=text("is_terminal")),
    Index(
        "ix_events_payload_blob",
        "run",
        "payload_blob",
        postgresql_where=text("payload_blob IS NOT NULL"),
    ),
    postgresql_partition_by="RANGE (run)",
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="pk_outbox"),
    CheckConstraint("first_seq >= 1 AND first_seq <= last_seq", name="ck_outbox_range"),
)

feed = Table(
    "feed",
    metadata,
    Column("last_position", BigInteger, nullable=False, autoincrement=False),
    Column("run", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    _id("project"),
    _time("published_at"),
    PrimaryKeyConstraint("last_position", name="pk_feed"),
    CheckConstraint("first_seq >= 1 AND first_seq <= last_seq", name="ck_feed_range"),
    CheckConstraint("last_position > last_seq - first_seq", name="ck_feed_position"),
    Index("ix_feed_project", "project", "last_position"),
)

duties = Table(
    "duties",
    metadata,
    _id("name"),
    Column("position", BigInteger, nullable=False, server_default="0"),
    _text("holder"),
    Column("expires_at", DateTime(timezone=True), nullable=False, server_default="-infinity"),
    PrimaryKeyConstraint("name", name="pk_duties"),
    CheckConstraint("position >= 0", name="ck_duties_position"),
)

consumers = Table(
    "consumers",
    metadata,
    _id("project"),
    _id("name"),
    Column("position", BigInteger, nullable=False),
    _time("created_at"),
    _time("committed_at"),
    PrimaryKeyConstraint("project", "name", name="pk_consumers"),
    CheckConstraint("position >= 0", name="ck_consumers_position"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    _id("sink"),
    Column("position", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
    _time("failed_at"),
    PrimaryKeyConstraint("id", name="pk_dead_letters"),
    UniqueConstraint("sink", "position", name="uq_dead_letters_position"),
)

usage_counts = Table(
    "usage_counts",
    metadata,
    Column("run", BigInteger, nullable=False, autoincrement=False),
    Column("day", Date, nullable=False),
    _id("type"),
    _id("node_id"),
    _id("model"),
    _id("tool"),
    Column("facets", LargeBinary, nullable=False),
    Column("events", BigInteger, nullable=False),
    *[Column(name, BigInteger, nullable=False) for name in USAGE],
    PrimaryKeyConstraint("run", "day", "facets", name="pk_usage_counts"),
    CheckConstraint("events >= 1", name="ck_usage_counts_events"),
    Index("ix_usage_counts_model", "model", "run", postgresql_where=text("model <> ''")),
    Index("ix_usage_counts_tool", "tool", "run", postgresql_where=text("tool <> ''")),
    Index("ix_usage_counts_day", "day", "run"),
)

search_rows = Table(
    "search_rows",
    metadata,
    Column("run", BigInteger, nullable=False, autoincrement=False),
    Column("seq", BigInteger, nullable=False, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    _time("recorded_at"),
    Column("text", Text, nullable=False),
    Column("tsv", TSVECTOR, nullable=False),
    PrimaryKeyConstraint("run", "seq", name="pk_search_rows"),
    Index("ix_search_rows_tsv", "tsv", postgresql_using="gin"),
)

blobs = Table(
    "blobs",
    metadata,
    Column("run", BigInteger, nullable=False),
    Column("blob", BigInteger, Identity(always=True), nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("is_json", Boolean, nullable=False),
    _text("content_type"),
    Column("raw_bytes", Integer, nullable=False),
    Column("data", LargeBinary),
    Column("location", Text),
    PrimaryKeyConstraint("run", "blob", name="pk_blobs"),
    UniqueConstraint("run", "sha256", name="uq_blobs_sha256"),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_blobs_run"),
    CheckConstraint("num_nonnulls(data, location) = 1", name="ck_blobs_place"),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("run", BigInteger, nullable=False),
    _id("namespace"),
    _id("snapshot_id"),
    _text("parent_snapshot_id"),
    Column("seq", BigInteger, nullable=False),
    _text("plan_version_id"),
    Column("reason", SmallInteger, nullable=False),
    Column("pending_node_ids", ARRAY(Text), nullable=False, server_default="{}"),
    Column("manifest", LargeBinary, nullable=False),
    Column("parts_bytes", BigInteger, nullable=False),
    *_payload("metadata"),
    Column("metadata_terms", ARRAY(Text), nullable=False, server_default="{}"),
    _time("created_at"),
    Column("content_hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("run", "namespace", "snapshot_id", name="pk_snapshots"),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_snapshots_run"),
    CheckConstraint("seq >= 0", name="ck_snapshots_seq"),
    Index("ix_snapshots_latest", "run", "namespace", "seq", "snapshot_id"),
    Index("ix_snapshots_created", "created_at", "run"),
    Index("ix_snapshots_metadata", "metadata_terms", postgresql_using="gin"),
)

task_writes = Table(
    "task_writes",
    metadata,
    Column("run", BigInteger, nullable=False),
    _id("namespace"),
    _id("snapshot_id"),
    _id("task_id"),
    Column("index", Integer, nullable=False),
    _text("channel"),
    *_payload("payload"),
    Column("body_hash", LargeBinary, nullable=False),
    Column("seq", BigInteger),
    _time("written_at", nullable=True),
    PrimaryKeyConstraint(
        "run", "namespace", "snapshot_id", "task_id", "index", name="pk_task_writes"
    ),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_task_writes_run"),
)

outputs = Table(
    "outputs",
    metadata,
    Column("run", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    *_payload("payload"),
    _text("schema_hash"),
    _text("plan_version_id"),
    *_payload("provenance"),
    *_payload("statistics"),
    *_usage(nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    _time("completed_at"),
    Column("payload_blob", BigInteger),
    PrimaryKeyConstraint("run", "revision", name="pk_outputs"),
    UniqueConstraint("run", "body_hash", name="uq_outputs_body_hash"),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_outputs_run"),
    CheckConstraint("revision >= 1", name="ck_outputs_revision"),
)

objects = Table(
    "objects",
    metadata,
    Column("object", BigInteger, Identity(always=True), nullable=False),
    _id("project"),
    Column("sha256", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    _id("location"),
    _time("created_at"),
    PrimaryKeyConstraint("object", name="pk_objects"),
    UniqueConstraint("project", "sha256", name="uq_objects_sha256"),
    CheckConstraint("octet_length(sha256) = 32", name="ck_objects_sha256"),
    CheckConstraint("size >= 0", name="ck_objects_size"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("run", BigInteger, nullable=False),
    _id("name"),
    Column("version", BigInteger, nullable=False),
    _id("artifact_id"),
    _id("project"),
    _text("type"),
    _text("content_type"),
    Column("object", BigInteger),
    _text("url"),
    Column("sha256", LargeBinary),
    Column("size", BigInteger),
    *_payload("metadata"),
    _text("actor"),
    _time("created_at"),
    PrimaryKeyConstraint("run", "name", "version", name="pk_artifacts"),
    UniqueConstraint("project", "artifact_id", name="uq_artifacts_artifact_id"),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_artifacts_run"),
    ForeignKeyConstraint(["object"], ["objects.object"], name="fk_artifacts_object"),
    CheckConstraint("version >= 1", name="ck_artifacts_version"),
    CheckConstraint(
        "CASE WHEN object IS NULL THEN url <> ''"
        " ELSE url = '' AND sha256 IS NOT NULL AND size IS NOT NULL END",
        name="ck_artifacts_place",
    ),
    Index("ix_artifacts_run", "run", "artifact_id"),
    Index("ix_artifacts_object", "object", postgresql_where=text("object IS NOT NULL")),
)

requests = Table(
    "requests",
    metadata,
    Column("run", BigInteger, nullable=False),
    _id("request_id"),
    Column("body_hash", LargeBinary, nullable=False),
    Column("answer", JSONB, nullable=False),
    PrimaryKeyConstraint("run", "request_id", name="pk_requests"),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_requests_run"),
)

configs = Table(
    "configs",
    metadata,
    Column("config", BigInteger, Identity(always=True), nullable=False),
    _id("project"),
    _id("kind"),
    _id("name"),
    Column("last_version", BigInteger, nullable=False, server_default="0"),
    _time("created_at"),
    PrimaryKeyConstraint("config", name="pk_configs"),
    UniqueConstraint("project", "kind", "name", name="uq_configs_project_kind_name"),
    CheckConstraint("project <> '' AND kind <> '' AND name <> ''", name="ck_configs_identity"),
    CheckConstraint("last_version >= 0", name="ck_configs_last_version"),
)

config_versions = Table(
    "config_versions",
    metadata,
    Column("config", BigInteger, nullable=False, autoincrement=False),
    Column("version", BigInteger, nullable=False, autoincrement=False),
    _id("digest"),
    Column("is_json", Boolean, nullable=False),
    _text("content_type"),
    Column("raw_bytes", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    _text("description"),
    *_payload("metadata"),
    _text("actor"),
    _time("created_at"),
    PrimaryKeyConstraint("config", "version", name="pk_config_versions"),
    UniqueConstraint("config", "digest", name="uq_config_versions_digest"),
    ForeignKeyConstraint(["config"], ["configs.config"], name="fk_config_versions_config"),
    CheckConstraint("version >= 1", name="ck_config_versions_version"),
)

config_labels = Table(
    "config_labels",
    metadata,
    Column("config", BigInteger, nullable=False),
    _id("label"),
    Column("version", BigInteger, nullable=False),
    _text("actor"),
    _time("moved_at"),
    PrimaryKeyConstraint("config", "label", name="pk_config_labels"),
    ForeignKeyConstraint(
        ["config", "version"],
        ["config_versions.config", "config_versions.version"],
        name="fk_config_labels_version",
    ),
)

config_label_moves = Table(
    "config_label_moves",
    metadata,
    Column("move", BigInteger, Identity(always=True), nullable=False),
    Column("config", BigInteger, nullable=False, autoincrement=False),
    _id("label"),
    Column("from_version", BigInteger, nullable=False),
    Column("to_version", BigInteger, nullable=False),
    _text("actor"),
    _text("request_id"),
    _time("moved_at"),
    PrimaryKeyConstraint("config", "move", name="pk_config_label_moves"),
    ForeignKeyConstraint(["config"], ["configs.config"], name="fk_config_label_moves_config"),
    CheckConstraint(
        "from_version >= 0 AND to_version >= 0 AND from_version <> to_version",
        name="ck_config_label_moves_moved",
    ),
    Index("ix_config_label_moves_label", "config", "label", "move"),
    Index(
        "uq_config_label_moves_request",
        "config",
        "label",
        "request_id",
        unique=True,
        postgresql_where=text("request_id <> ''"),
    ),
)
