"""Every unary RPC as a value, a module a noun; each function is named as its RPC.

Both clients make the same calls and differ only in how they send them.
"""

from runstore.calls import (
    admin,
    archives,
    artifacts,
    configs,
    erasures,
    events,
    feed,
    holds,
    outputs,
    removals,
    retention,
    runs,
    search,
    snapshots,
    statistics,
)

__all__ = [
    "admin",
    "archives",
    "artifacts",
    "configs",
    "erasures",
    "events",
    "feed",
    "holds",
    "outputs",
    "removals",
    "retention",
    "runs",
    "search",
    "snapshots",
    "statistics",
]
