"""Which projects there are: the names that runs and configs have."""

from __future__ import annotations

from collections.abc import Collection

from runstore_storage.contract.access import ALL_PROJECTS, BELOW
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system

# Before and behind each character that a name may have.
_BEFORE_ALL, _BEHIND_ALL = "\x01", "\U0010ffff"
# Skips from one name to the next in the indexes, however many runs a project has.
_PAGE = system("""
    SELECT DISTINCT found FROM unnest(:lows::text[], :highs::text[]) AS part (low, high),
    LATERAL (
        WITH RECURSIVE names (found) AS (
            SELECT least(
                (SELECT project FROM runs WHERE project >= low ORDER BY project LIMIT 1),
                (SELECT project FROM configs WHERE project >= low ORDER BY project LIMIT 1))
            UNION ALL
            SELECT least(
                (SELECT project FROM runs WHERE project > found ORDER BY project LIMIT 1),
                (SELECT project FROM configs WHERE project > found ORDER BY project LIMIT 1))
            FROM names WHERE found < high)
        SELECT found FROM names WHERE found < high LIMIT :limit) AS each
    ORDER BY found LIMIT :limit
""")


async def page(
    conn: Connection, patterns: Collection[str], *, limit: int, after: str
) -> tuple[str, ...]:
    """Projects of the patterns, by name."""
    parts = [_bounds(pattern) for pattern in patterns]
    values = {
        "lows": [max(low, after + _BEFORE_ALL if after else "") for low, _ in parts],
        "highs": [high for _, high in parts],
        "limit": limit,
    }
    return tuple((await conn.execute(_PAGE, values)).scalars())


def _bounds(pattern: str) -> tuple[str, str]:
    """The first text that may be a name of the pattern, and the first behind them."""
    if pattern == ALL_PROJECTS:
        return "", _BEHIND_ALL
    if pattern.endswith(BELOW):
        below = pattern[:-1]
        return below + _BEFORE_ALL, below + _BEHIND_ALL
    return pattern, pattern + _BEFORE_ALL
