"""The tables."""

from runstore_storage.sql.tables.runs import metadata

__all__ = ["metadata"]
