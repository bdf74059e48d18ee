"""The table of outputs."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    UniqueConstraint,
)

from runstore_storage.sql.tables.columns import (
    payload_columns,
    salt_column,
    text_column,
    time_column,
    usage_columns,
)
from runstore_storage.sql.tables.metadata import metadata

outputs = Table(
    "outputs",
    metadata,
    Column("run", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    *payload_columns("payload"),
    text_column("schema_hash"),
    text_column("plan_version_id"),
    *payload_columns("provenance"),
    *payload_columns("statistics"),
    *usage_columns(nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    salt_column(),
    time_column("completed_at"),
    Column("payload_blob", BigInteger),
    PrimaryKeyConstraint("run", "revision", name="pk_outputs"),
    UniqueConstraint("run", "body_hash", name="uq_outputs_body_hash"),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_outputs_run"),
    CheckConstraint("revision >= 1", name="ck_outputs_revision"),
)
