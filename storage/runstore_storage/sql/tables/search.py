"""The table of search rows."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import TSVECTOR

from runstore_storage.sql.tables.columns import time_column
from runstore_storage.sql.tables.metadata import metadata

search_rows = Table(
    "search_rows",
    metadata,
    Column("run", BigInteger, nullable=False, autoincrement=False),
    Column("seq", BigInteger, nullable=False, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    time_column("recorded_at"),
    Column("text", Text, nullable=False),
    Column("tsv", TSVECTOR, nullable=False),
    PrimaryKeyConstraint("run", "seq", name="pk_search_rows"),
    Index("ix_search_rows_tsv", "tsv", postgresql_using="gin"),
)
