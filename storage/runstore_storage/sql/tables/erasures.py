"""The tables of what was erased, and of whom events name."""

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
    Table,
    Text,
    UniqueConstraint,
)

from runstore_storage.sql.tables.columns import id_column, time_column
from runstore_storage.sql.tables.metadata import metadata

erasure_requests = Table(
    "erasure_requests",
    metadata,
    Column("erasure", BigInteger, Identity(always=True), nullable=False),
    id_column("erasure_id"),
    id_column("project"),
    Column("record", BigInteger, nullable=False),
    Column("subject_salt", LargeBinary),
    Column("subject_hash", LargeBinary),
    time_column("begun_at"),
    PrimaryKeyConstraint("erasure", name="pk_erasure_requests"),
    UniqueConstraint("project", "erasure_id", name="uq_erasure_requests_erasure_id"),
    UniqueConstraint("project", "record", name="uq_erasure_requests_record"),
    ForeignKeyConstraint(
        ["project", "record"],
        ["admin_records.project", "admin_records.number"],
        name="fk_erasure_requests_record",
    ),
)

erasure_targets = Table(
    "erasure_targets",
    metadata,
    Column("erasure", BigInteger, nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("subject", Text(collation="C")),
    PrimaryKeyConstraint("erasure", "run", "first_seq", name="pk_erasure_targets"),
    ForeignKeyConstraint(
        ["erasure"], ["erasure_requests.erasure"], name="fk_erasure_targets_erasure"
    ),
)

erasures = Table(
    "erasures",
    metadata,
    Column("run", BigInteger, nullable=False, autoincrement=False),
    Column("seq", BigInteger, nullable=False, autoincrement=False),
    Column("sealed", LargeBinary),
    Column("removal", BigInteger, nullable=False),
    time_column("erased_at"),
    PrimaryKeyConstraint("run", "seq", name="pk_erasures"),
    ForeignKeyConstraint(["removal"], ["removals.removal"], name="fk_erasures_removal"),
    CheckConstraint("octet_length(sealed) = 32", name="ck_erasures_sealed"),
)

subject_refs = Table(
    "subject_refs",
    metadata,
    id_column("subject"),
    Column("run", BigInteger, nullable=False, autoincrement=False),
    Column("seq", BigInteger, nullable=False, autoincrement=False),
    PrimaryKeyConstraint("subject", "run", "seq", name="pk_subject_refs"),
    Index("ix_subject_refs_run", "run", "seq"),
)
