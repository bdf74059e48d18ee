"""The tables, as the newest migration leaves them.

Names are unqualified: the search_path of every connection is the one schema runstore lives in. What
a table cannot say here (partitioning, triggers) is in the migrations, and a test proves that both
agree. Statements are written out in `sql/`, not made from these tables.
"""

from runstore_storage.sql.tables import (
    admin,
    archives,
    artifacts,
    configs,
    erasures,
    events,
    feed,
    holds,
    outputs,
    payloads,
    policies,
    removals,
    runs,
    search,
    snapshots,
    statistics,
    store,
    stored_bytes,
)
from runstore_storage.sql.tables.metadata import metadata

__all__ = [
    "admin",
    "archives",
    "artifacts",
    "configs",
    "erasures",
    "events",
    "feed",
    "holds",
    "metadata",
    "outputs",
    "payloads",
    "policies",
    "removals",
    "runs",
    "search",
    "snapshots",
    "statistics",
    "store",
    "stored_bytes",
]
