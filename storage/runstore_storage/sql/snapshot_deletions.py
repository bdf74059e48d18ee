"""snapshots: what deleting them looks at and removes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import tenant
from runstore_storage.sql import scopes
from runstore_storage.sql.columns import SINCE_EPOCH

# A fork's lineage says how much of a run it includes, and a fork of that fork includes no more.
FORKS_WITH = f"""
    SELECT f.run_id FROM runs f CROSS JOIN LATERAL jsonb_array_elements(f.lineage) AS part
    WHERE f.fork_parent = s.run AND (part->>0)::bigint = s.run AND s.seq <= (part->>1)::bigint
        AND s.created_at <= {SINCE_EPOCH.format("(part->>2)")}
"""
"""The forks whose history includes the snapshot `s` of the run that they were made of."""
_IN_FORK = tenant(f"""
    SELECT s.snapshot_id, f.run_id
    FROM snapshots s CROSS JOIN LATERAL ({FORKS_WITH} AND f.project = :scope LIMIT 1) AS f
    WHERE s.run = :run AND s.namespace = :namespace AND s.snapshot_id = ANY(:ids::text[]) LIMIT 1
""")
_NAMED = f"""
    FROM snapshots WHERE run = :run AND namespace = :namespace AND snapshot_id = ANY(:ids::text[])
        AND {scopes.HAS_RUN}
"""
_DELETE = tenant(f"DELETE {_NAMED} RETURNING snapshot_id, manifest")
_MANIFESTS_BY_ID = tenant(f"SELECT manifest {_NAMED}")
_ROW_IDS = tenant(f"""
    SELECT namespace, snapshot_id, created_at FROM snapshots WHERE run = :run AND {scopes.HAS_RUN}
""")
_MANIFESTS = tenant(f"""
    SELECT s.namespace, s.snapshot_id, s.created_at, s.manifest
    FROM unnest(:namespaces::text[], :ids::text[], :times::timestamptz[])
         AS asked(namespace, snapshot_id, created_at)
    JOIN snapshots s ON s.run = :run AND s.namespace = asked.namespace
        AND s.snapshot_id = asked.snapshot_id AND s.created_at = asked.created_at
    WHERE {scopes.HAS_RUN}
""")


class RowId(NamedTuple):
    """Identifies a row of one run: an id that is put again after a deletion is another row."""

    namespace: str
    snapshot_id: str
    created_at: datetime


async def find_in_fork(
    conn: Connection, run: int, namespace: str, snapshot_ids: Collection[str]
) -> tuple[str, str] | None:
    """One of the snapshots that is in a fork's history, and the fork's run_id."""
    found = await conn.execute(_IN_FORK, _ids(run, namespace, snapshot_ids))
    row = found.one_or_none()
    return (row["snapshot_id"], row["run_id"]) if row else None


async def delete(
    conn: Connection, run: int, namespace: str, snapshot_ids: Collection[str]
) -> Mapping[str, bytes]:
    """Delete those of the snapshots that the run has; their manifests by id."""
    found = await conn.execute(_DELETE, _ids(run, namespace, snapshot_ids))
    return {row["snapshot_id"]: row["manifest"] for row in found}


async def manifests_by_id(
    conn: Connection, run: int, namespace: str, snapshot_ids: Collection[str]
) -> list[bytes]:
    """The manifests of those of the snapshots that the run has."""
    found = await conn.execute(_MANIFESTS_BY_ID, _ids(run, namespace, snapshot_ids))
    return found.scalars()


async def row_ids(conn: Connection, run: int) -> list[RowId]:
    """All snapshots of the run itself, of any namespace."""
    return [_row_id(row) for row in await conn.execute(_ROW_IDS, {"run": run})]


async def manifests(conn: Connection, run: int, rows: Sequence[RowId]) -> list[tuple[RowId, bytes]]:
    """The manifests of the rows that still exist."""
    found = await conn.execute(
        _MANIFESTS,
        {
            "run": run,
            "namespaces": [row.namespace for row in rows],
            "ids": [row.snapshot_id for row in rows],
            "times": [row.created_at for row in rows],
        },
    )
    return [(_row_id(row), row["manifest"]) for row in found]


def _ids(run: int, namespace: str, snapshot_ids: Collection[str]) -> dict[str, object]:
    return {"run": run, "namespace": namespace, "ids": list(snapshot_ids)}


def _row_id(row: Row) -> RowId:
    return RowId(row["namespace"], row["snapshot_id"], row["created_at"])
