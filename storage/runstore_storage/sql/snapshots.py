"""snapshots: manifests, and the columns they are found by."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from runstore_storage.contract.errors import IdempotencyMismatch
from runstore_storage.contract.snapshots import (
    Snapshot,
    SnapshotCursor,
    SnapshotQuery,
    SnapshotReason,
    SnapshotSelector,
)
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import tenant
from runstore_storage.sql import scopes
from runstore_storage.sql.columns import SINCE_EPOCH, payload_columns, payload_from
from runstore_storage.sql.heads import Ancestor, Head
from runstore_storage.sql.inserts import Insert, Target

_COLUMNS = (
    ("run", "bigint"),
    ("namespace", "text"),
    ("snapshot_id", "text"),
    ("parent_snapshot_id", "text"),
    ("seq", "bigint"),
    ("plan_version_id", "text"),
    ("reason", "smallint"),
    ("pending_node_ids", "text[]"),
    ("manifest", "bytea"),
    ("parts_bytes", "bigint"),
    ("metadata_json", "json"),
    ("metadata_binary", "bytea"),
    ("metadata_type", "text"),
    ("metadata_terms", "text[]"),
    ("created_at", "timestamptz"),
    ("salt", "bytea"),
    ("content_hash", "bytea"),
)
_TARGET = Target("snapshots", _COLUMNS)
SELECTED = """
    s.run, r.run_id, s.namespace, s.snapshot_id, s.parent_snapshot_id, s.seq, s.plan_version_id,
    s.reason, s.pending_node_ids, s.metadata_json::text, s.metadata_binary, s.metadata_type,
    s.created_at, s.salt, s.content_hash, s.manifest, s.parts_bytes
"""
"""What `stored_row` unpacks."""
_LATEST = f"""
    SELECT {SELECTED} FROM snapshots s JOIN runs r ON r.run = s.run
    WHERE s.run = :run AND r.project = :scope AND s.namespace = :namespace {{conditions}}
    ORDER BY s.seq DESC, s.snapshot_id DESC LIMIT 1
"""
_PAGE = f"""
    SELECT {SELECTED} FROM snapshots s JOIN runs r ON r.run = s.run
    WHERE {{conditions}} ORDER BY {{keys}} LIMIT :limit
"""
# What a selector may say of a snapshot.
_BY = {
    "snapshot_id": " AND s.snapshot_id = :snapshot_id",
    "plan_version_id": " AND s.plan_version_id = :plan_version_id",
    "at_seq": " AND s.seq <= :at_seq",
}
# What a fork's history includes of another run.
_WITHIN = " AND s.seq <= :last_seq AND s.created_at <= :until"

# What listings are sorted by, descending: (column, field of SnapshotCursor, SQL of its value).
_RUN_ORDER = (
    ("s.seq", "rank", "{}"),
    ("s.snapshot_id", "snapshot_id", "{}"),
    ("s.namespace", "namespace", "{}"),
)
_PROJECT_ORDER = (
    ("s.created_at", "rank", SINCE_EPOCH),
    ("s.run", "run", "{}"),
    ("s.snapshot_id", "snapshot_id", "{}"),
    ("s.namespace", "namespace", "{}"),
)


# A fork's lineage says how much of a run it includes, and a fork of that fork includes no more.
_IN_FORK = tenant(f"""
    SELECT s.snapshot_id, f.run_id
    FROM runs f
    CROSS JOIN LATERAL jsonb_array_elements(f.lineage) AS part
    JOIN snapshots s ON s.run = :run AND s.namespace = :namespace
        AND s.snapshot_id = ANY(:ids::text[]) AND s.seq <= (part->>1)::bigint
        AND s.created_at <= {SINCE_EPOCH.format("(part->>2)")}
    WHERE f.fork_parent = :run AND f.project = :scope AND (part->>0)::bigint = :run LIMIT 1
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


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A snapshot as its row holds it: everything but the parts, which the manifest names."""

    run: int
    run_id: str
    snapshot: Snapshot
    created_at: datetime
    salt: bytes | None
    content_hash: bytes
    manifest: bytes
    parts_bytes: int


def insert(row: StoredRow, *, metadata_terms: str, pending_node_ids: str) -> Insert:
    """What stores a snapshot; the two arrays are given as array literals."""
    snapshot = row.snapshot
    values = (
        row.run,
        snapshot.namespace,
        snapshot.snapshot_id,
        snapshot.parent_snapshot_id,
        snapshot.seq,
        snapshot.plan_version_id,
        int(snapshot.reason),
        pending_node_ids,
        row.manifest,
        row.parts_bytes,
        *payload_columns(snapshot.metadata),
        metadata_terms,
        row.created_at,
        row.salt,
        row.content_hash,
    )
    is_known = IdempotencyMismatch("snapshot", snapshot.snapshot_id)
    return Insert(_TARGET, [values], {"pk_snapshots": is_known})


async def get(conn: Connection, run: int, namespace: str, snapshot_id: str) -> StoredRow | None:
    """One of the run's own snapshots."""
    return await _find(conn, run, namespace, SnapshotSelector(snapshot_id=snapshot_id), None)


async def find(
    conn: Connection, head: Head, namespace: str, selector: SnapshotSelector
) -> StoredRow | None:
    """The latest snapshot of the run's history that the selector selects."""
    runs = [(head.run, None), *((each.run, each) for each in head.lineage)]
    found = [
        row for run, within in runs if (row := await _find(conn, run, namespace, selector, within))
    ]
    return max(found, key=lambda row: (row.snapshot.seq, row.snapshot.snapshot_id), default=None)


async def _find(
    conn: Connection,
    run: int,
    namespace: str,
    selector: SnapshotSelector,
    within: Ancestor | None,
) -> StoredRow | None:
    asked = {name: value for name in _BY if (value := getattr(selector, name)) is not None}
    conditions = "".join(_BY[name] for name in asked)
    values: dict[str, object] = {"run": run, "namespace": namespace, **asked}
    if within:
        conditions += _WITHIN
        values |= {"last_seq": within.last_seq, "until": within.until}
    found = await conn.execute(tenant(_LATEST.format(conditions=conditions)), values)
    row = found.one_or_none()
    return stored_row(row) if row else None


async def page(
    conn: Connection,
    query: SnapshotQuery,
    *,
    metadata_terms: Sequence[str],
    limit: int,
    after: SnapshotCursor | None,
    head: Head | None,
) -> list[StoredRow]:
    """Snapshots of a run's history by seq where its head is given, of a project by age; both
    descending.
    """
    order = _RUN_ORDER if head else _PROJECT_ORDER
    conditions = ["r.project = :project", "r.project = :scope"]
    values: dict[str, object] = {"project": query.project, "limit": limit}
    if head:
        conditions.append(_of_history(head, values))
    if query.namespace is not None:
        conditions.append("s.namespace = :namespace")
        values["namespace"] = query.namespace
    if query.id_below:
        conditions.append("s.snapshot_id < :id_below")
        values["id_below"] = query.id_below
    if metadata_terms:
        conditions.append("s.metadata_terms @> :terms")
        values["terms"] = list(metadata_terms)
    if after is not None:
        columns = ", ".join(column for column, _, _ in order)
        cursor = ", ".join(sql.format(f":after_{name}") for _, name, sql in order)
        conditions.append(f"({columns}) < ({cursor})")
        values |= {f"after_{name}": getattr(after, name) for _, name, _ in order}
    keys = ", ".join(f"{column} DESC" for column, _, _ in order)
    sql = _PAGE.format(conditions=" AND ".join(conditions), keys=keys)
    return [stored_row(row) for row in await conn.execute(tenant(sql), values)]


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


def _of_history(head: Head, values: dict[str, object]) -> str:
    """The condition that selects a run's history; adds its parameters to `values`."""
    values["run"] = head.run
    conditions = ["s.run = :run"]
    for number, each in enumerate(head.lineage):
        values |= {
            f"run_{number}": each.run,
            f"last_seq_{number}": each.last_seq,
            f"until_{number}": each.until,
        }
        conditions.append(
            f"(s.run = :run_{number} AND s.seq <= :last_seq_{number}"
            f" AND s.created_at <= :until_{number})"
        )
    return f"({' OR '.join(conditions)})"


def _row_id(row: Row) -> RowId:
    return RowId(row["namespace"], row["snapshot_id"], row["created_at"])


def stored_row(selected: Iterable[Any]) -> StoredRow:
    """The row of the columns of `SELECTED`."""
    run, run_id, *of_snapshot, created_at, salt, content_hash, manifest, parts_bytes = selected
    namespace, id_, parent_id, seq, plan_version_id, reason, pending, *metadata = of_snapshot
    return StoredRow(
        run=run,
        run_id=run_id,
        snapshot=Snapshot(
            namespace=namespace,
            snapshot_id=id_,
            parent_snapshot_id=parent_id,
            seq=seq,
            plan_version_id=plan_version_id,
            reason=SnapshotReason(reason),
            pending_node_ids=tuple(pending),
            metadata=payload_from(*metadata),
        ),
        created_at=created_at,
        salt=salt,
        content_hash=content_hash,
        manifest=manifest,
        parts_bytes=parts_bytes,
    )
