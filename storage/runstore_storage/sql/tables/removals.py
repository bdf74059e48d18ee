"""The tables of what was removed."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    UniqueConstraint,
    text,
)

from runstore_storage.sql.tables.columns import id_column, time_column
from runstore_storage.sql.tables.metadata import metadata

removals = Table(
    "removals",
    metadata,
    Column("removal", BigInteger, Identity(always=True), nullable=False),
    id_column("removal_id"),
    id_column("project"),
    Column("run", BigInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("birth", LargeBinary, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("record", BigInteger, nullable=False),
    time_column("begun_at"),
    Column("erasure", BigInteger),
    PrimaryKeyConstraint("removal", name="pk_removals"),
    UniqueConstraint("project", "record", name="uq_removals_record"),
    ForeignKeyConstraint(
        ["project", "record"],
        ["admin_records.project", "admin_records.number"],
        name="fk_removals_record",
    ),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_removals_run"),
    ForeignKeyConstraint(["erasure"], ["erasure_requests.erasure"], name="fk_removals_erasure"),
    CheckConstraint("kind BETWEEN 1 AND 6", name="ck_removals_kind"),
    CheckConstraint("octet_length(birth) = 32", name="ck_removals_birth"),
    Index("ix_removals_run", "run"),
    Index("ix_removals_erasure", "erasure", "run", postgresql_where=text("erasure IS NOT NULL")),
)

removal_steps = Table(
    "removal_steps",
    metadata,
    Column("step", BigInteger, Identity(always=True), nullable=False),
    Column("removal", BigInteger, nullable=False),
    Column("removed_events", BigInteger, nullable=False),
    Column("is_last", Boolean, nullable=False),
    Column(
        "transaction",
        BigInteger,
        nullable=False,
        server_default=text("pg_current_xact_id()::text::bigint"),
    ),
    Column("begun_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("is_stopped", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("step", name="pk_removal_steps"),
    ForeignKeyConstraint(["removal"], ["removals.removal"], name="fk_removal_steps_removal"),
    Index("ix_removal_steps_removal", "removal", "step"),
    Index("ix_removal_steps_transaction", "transaction"),
    Index("uq_removal_steps_last", "removal", unique=True, postgresql_where=text("is_last")),
)

open_removals = Table(
    "open_removals",
    metadata,
    Column("removal", BigInteger, nullable=False),
    PrimaryKeyConstraint("removal", name="pk_open_removals"),
    ForeignKeyConstraint(["removal"], ["removals.removal"], name="fk_open_removals_removal"),
)

unnamed_objects = Table(
    "unnamed_objects",
    metadata,
    id_column("location"),
    Column("removal", BigInteger, nullable=False),
    PrimaryKeyConstraint("removal", "location", name="pk_unnamed_objects"),
    ForeignKeyConstraint(["removal"], ["removals.removal"], name="fk_unnamed_objects_removal"),
)
