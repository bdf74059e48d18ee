"""What is looked at every few seconds of a soak."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import asyncpg

from bench.servers import Server

MEGABYTE = 1 << 20
# Rows of these come and go, or change in place: here bloat would show.
CHURNING = ("run_heads", "outbox", "duties")

_TABLES = """
    SELECT CASE WHEN c.relname LIKE 'events%' THEN 'events' ELSE c.relname::text END,
           sum(pg_table_size(c.oid))::bigint, sum(pg_indexes_size(c.oid))::bigint,
           sum(s.n_dead_tup)::bigint
    FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid
    WHERE c.relnamespace = 'runstore'::regnamespace AND c.relkind = 'r' GROUP BY 1
"""
_LAG = """
    SELECT coalesce((SELECT sum(last_seq - first_seq + 1) FROM runstore.outbox), 0)::bigint,
           (SELECT coalesce(max(last_position), 0) FROM runstore.feed)
               - (SELECT coalesce(min(position), 0) FROM runstore.duties
                  WHERE name NOT IN ('removals', 'retention')),
           (SELECT sum(last_seq) FROM runstore.run_heads)::bigint,
           (SELECT count(*) FROM runstore.run_heads),
           pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint
"""
# Dead rows and the room that dead rows left, in per cent of the table.
_BLOAT = "SELECT dead_tuple_percent + approx_free_percent FROM pgstattuple_approx($1)"


@dataclass(slots=True)
class Sampler:
    database: asyncpg.Pool
    server: Server
    began: float

    async def sample(self, load: dict[str, Any]) -> dict[str, Any]:
        """Figures of now, with those of the load since the sample before."""
        tables = {
            name: {"table_bytes": table, "index_bytes": index, "dead_rows": dead}
            for name, table, index, dead in await self.database.fetch(_TABLES)
        }
        waiting, behind, events, runs, wal = await self.database.fetchrow(_LAG)
        bloat = {
            name: await self.database.fetchval(_BLOAT, f"runstore.{name}") for name in CHURNING
        }
        sizes = {name: t["table_bytes"] + t["index_bytes"] for name, t in tables.items()}
        total = sum(sizes.values())
        return {
            "seconds": time.monotonic() - self.began,
            "server_megabytes": self.server.resident_bytes() / MEGABYTE,
            "append_p50_ms": load["p50"],
            "append_p99_ms": load["p99"],
            "events": events,
            "runs": runs,
            "done": load["done"],
            "streams": load["streams"],
            "total_megabytes": total / MEGABYTE,
            "head_bytes_per_run": sizes["run_heads"] / runs,
            "queue_megabytes": (sizes["outbox"] + sizes["duties"]) / MEGABYTE,
            "bytes_per_event": total / events,
            "dead_rows": sum(each["dead_rows"] for each in tables.values()),
            "bloat_percent": bloat,
            "tables": tables,
            "wal_megabytes": wal / MEGABYTE,
            "unpublished_events": waiting,
            "feed_lag_events": waiting + max(behind, 0),
        }
