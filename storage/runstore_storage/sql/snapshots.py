"""snapshots: manifests and what they are found by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from runstore_storage.records import (
    Snapshot,
    SnapshotPosition,
    SnapshotQuery,
    SnapshotReason,
    SnapshotSelector,
)
from runstore_storage.sql.columns import by_column, insert_rows, payload_columns, payload_of

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
    ("content_hash", "bytea"),
)
_INSERT = text(insert_rows("snapshots", _COLUMNS))
_SELECT = (
    "SELECT s.run, r.run_id, s.namespace, s.snapshot_id, s.parent_snapshot_id, s.seq,"
    " s.plan_version_id, s.reason, s.pending_node_ids, s.metadata_json::text, s.metadata_binary,"
    " s.metadata_type, s.created_at, s.content_hash, s.manifest, s.parts_bytes"
    " FROM snapshots s JOIN runs r ON r.run = s.run WHERE "
)
_BY = {
    "snapshot_id": " AND s.snapshot_id = :snapshot_id",
    "plan_version_id": " AND s.plan_version_id = :plan_version_id",
    "at_seq": " AND s.seq <= :at_seq",
}

_SINCE_EPOCH = "timestamptz 'epoch' + CAST({} AS bigint) * interval '1 microsecond'"
# What snapshots are ordered by, descending: (SQL, field of SnapshotPosition, its parameter).
_RUN_ORDER = (
    ("s.seq", "rank", "{}"),
    ("s.snapshot_id", "snapshot_id", "{}"),
    ("s.namespace", "namespace", "{}"),
)
_PROJECT_ORDER = (
    ("s.created_at", "rank", _SINCE_EPOCH),
    ("s.run", "run", "{}"),
    ("s.snapshot_id", "snapshot_id", "{}"),
    ("s.namespace", "namespace", "{}"),
)


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A snapshot as its row has it: everything but the parts, which the manifest names."""

    run: int
    run_id: str
    snapshot: Snapshot
    created_at: datetime
    content_hash: bytes
    manifest: bytes
    parts_bytes: int


async def insert(
    conn: AsyncConnection, row: StoredRow, *, metadata_terms: str, pending_node_ids: str
) -> None:
    """Store a snapshot; the two arrays come as array literals."""
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
        row.content_hash,
    )
    await conn.execute(_INSERT, by_column(_COLUMNS, [values]))


async def find(
    conn: AsyncConnection, run: int, namespace: str, selector: SnapshotSelector
) -> StoredRow | None:
    """The chosen snapshot; the latest of those that fit."""
    asked = {name: value for name in _BY if (value := getattr(selector, name)) is not None}
    found = await conn.execute(
        text(
            f"{_SELECT} s.run = :run AND s.namespace = :namespace"
            + "".join(_BY[name] for name in asked)
            + " ORDER BY s.seq DESC, s.snapshot_id DESC LIMIT 1"
        ),
        {"run": run, "namespace": namespace, **asked},
    )
    row = found.one_or_none()
    return _row(row) if row else None


async def page(
    conn: AsyncConnection,
    query: SnapshotQuery,
    *,
    metadata_terms: Sequence[str],
    limit: int,
    after: SnapshotPosition | None,
) -> list[StoredRow]:
    """Snapshots of a run by seq, of a project by age, both descending."""
    order = _RUN_ORDER if query.run_id else _PROJECT_ORDER
    conditions = ["r.project = :project"]
    values: dict[str, object] = {"project": query.project, "limit": limit}
    if query.run_id:
        conditions.append("r.run_id = :run_id")
        values["run_id"] = query.run_id
    if query.namespace is not None:
        conditions.append("s.namespace = :namespace")
        values["namespace"] = query.namespace
    if metadata_terms:
        conditions.append("s.metadata_terms @> :terms")
        values["terms"] = list(metadata_terms)
    if after is not None:
        places = ", ".join(sql for sql, _, _ in order)
        values_after = ", ".join(made.format(f":after_{name}") for _, name, made in order)
        conditions.append(f"({places}) < ({values_after})")
        values |= {f"after_{name}": getattr(after, name) for _, name, _ in order}
    found = await conn.execute(
        text(
            f"{_SELECT}{' AND '.join(conditions)}"
            f" ORDER BY {', '.join(sql + ' DESC' for sql, _, _ in order)} LIMIT :limit"
        ),
        values,
    )
    return [_row(row) for row in found]


def _row(row: Sequence[Any]) -> StoredRow:
    return StoredRow(
        run=row[0],
        run_id=row[1],
        snapshot=Snapshot(
            namespace=row[2],
            snapshot_id=row[3],
            parent_snapshot_id=row[4],
            seq=row[5],
            plan_version_id=row[6],
            reason=SnapshotReason(row[7]),
            pending_node_ids=tuple(row[8]),
            metadata=payload_of(row[9], row[10], row[11]),
        ),
        created_at=row[12],
        content_hash=row[13],
        manifest=row[14],
        parts_bytes=row[15],
    )
