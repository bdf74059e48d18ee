"""usage_counts: events and their usage by run, day, type, node, model and tool."""

from __future__ import annotations

from runstore_storage.contract.feed import USAGE_COUNTS
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system
from runstore_storage.sql import duties
from runstore_storage.sql.columns import USAGE, bounded

# Ranges of the feed that one transaction counts.
COUNTED_RANGES = 2000

_KEY = "run, day, type, node_id, model, tool"


def _added(name: str) -> str:
    return bounded(name, f"u.{name}::numeric + excluded.{name}")


# Tells them apart in a few bytes: the first half of a SHA-256.
_FACETS = (
    "substr(sha256(convert_to("
    "jsonb_build_array(e.type, e.node_id, e.model, e.tool)::text, 'UTF8')), 1, 16)"
)
# OFFSET keeps each range a look-up by key: the planner would read all events of a long run.
_ADD = system(f"""
    WITH {duties.HELD}, ranges AS MATERIALIZED (
        SELECT last_position, run, first_seq, last_seq FROM feed
        WHERE last_position > (SELECT position FROM held) ORDER BY last_position LIMIT :limit
    ), counted AS (
        INSERT INTO usage_counts AS u ({_KEY}, facets, events, {", ".join(USAGE)})
        SELECT e.run, (e.recorded_at AT TIME ZONE 'UTC')::date, e.type, e.node_id, e.model, e.tool,
               {_FACETS}, count(*),
               {", ".join(bounded(name, f"coalesce(sum(e.{name}), 0)") for name in USAGE)}
        FROM ranges r JOIN run_heads h ON h.run = r.run JOIN LATERAL (
            SELECT * FROM events
            WHERE run = r.run
                AND seq BETWEEN greatest(r.first_seq, h.archived_through + 1) AND r.last_seq
            OFFSET 0
        ) AS e ON true
        GROUP BY 1, 2, 3, 4, 5, 6, 7
        ON CONFLICT ON CONSTRAINT pk_usage_counts DO UPDATE SET events = u.events + excluded.events,
            {", ".join(f"{name} = {_added(name)}" for name in USAGE)}
    ), moved AS (
        UPDATE duties SET position = (SELECT max(last_position) FROM ranges)
        WHERE name = :duty AND EXISTS (SELECT FROM ranges)
    )
    SELECT coalesce((SELECT max(last_position) FROM ranges), h.position) - h.position AS counted
    FROM held h
""")
# What archived events used is counted, and cannot be counted anew.
_FORGET = system("""
    DELETE FROM usage_counts u
    WHERE NOT EXISTS (
        SELECT FROM run_heads h WHERE h.run = u.run AND h.archived_through > 0
    )
""")


async def add(conn: Connection, holder: str) -> int | None:
    """Count the next ranges of the feed, in one statement.

    The number of their events, 0 when there is none; None when the holder has lost the duty.
    """
    values = {"duty": USAGE_COUNTS, "holder": holder, "limit": COUNTED_RANGES}
    counted: int | None = (await conn.execute(_ADD, values)).scalar_one_or_none()
    return counted


async def forget(conn: Connection) -> None:
    """Remove every count but those of archived runs."""
    await conn.execute(_FORGET)
