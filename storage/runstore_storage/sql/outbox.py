"""outbox: ranges of events that were committed and not yet published."""

from __future__ import annotations

from collections.abc import Sequence

from runstore_storage.contract.feed import Lag
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system, tenant
from runstore_storage.sql import scopes
from runstore_storage.sql.inserts import Insert, Target

_TARGET = Target("outbox", (("run", "bigint"), ("first_seq", "bigint"), ("last_seq", "bigint")))
_LAST_ID = system("SELECT coalesce(max(id), 0) FROM outbox")
_HOLDS_UP_TO = system("SELECT EXISTS (SELECT FROM outbox WHERE id <= :id)")
_PUBLISHED_UP_TO = tenant(f"""
    SELECT position FROM duties WHERE name = 'relay' AND NOT EXISTS (
        SELECT FROM outbox WHERE run = :run AND first_seq <= :seq
    ) AND {scopes.HAS_RUN}
""")
_LAG = system("""
    SELECT coalesce(sum(o.last_seq - o.first_seq + 1), 0)::bigint AS events,
           coalesce(extract(epoch FROM clock_timestamp() - min(
               (SELECT recorded_at FROM events e WHERE e.run = o.run AND e.seq = o.first_seq)
           ) FILTER (WHERE o.id = oldest.id)), 0)::double precision AS seconds
    FROM outbox o, (SELECT min(id) AS id FROM outbox) AS oldest
""")


def insert(ranges: Sequence[tuple[int, int, int]]) -> Insert:
    """What adds ranges (run, first_seq, last_seq)."""
    return Insert(_TARGET, ranges)


async def last_id(conn: Connection) -> int:
    """The newest row's id, 0 when there is none."""
    return int((await conn.execute(_LAST_ID)).scalar_one())


async def holds_up_to(conn: Connection, row_id: int) -> bool:
    """True while a row with that id or a smaller one waits."""
    return bool((await conn.execute(_HOLDS_UP_TO, {"id": row_id})).scalar_one())


async def lag(conn: Connection) -> Lag:
    """The waiting events, and for how long the oldest has waited."""
    row = (await conn.execute(_LAG)).one()
    return Lag(row["events"], max(row["seconds"], 0.0))


async def published_up_to(conn: Connection, run: int, seq: int) -> int | None:
    """The feed's last position once all of the run's events up to a seq are in it, None before."""
    found = await conn.execute(_PUBLISHED_UP_TO, {"run": run, "seq": seq})
    position: int | None = found.scalar_one_or_none()
    return position
