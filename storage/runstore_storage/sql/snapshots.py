"""snapshots: manifests, and the columns they are found by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runstore_storage.contract.errors import IdempotencyMismatch
from runstore_storage.contract.snapshots import (
    Snapshot,
    SnapshotCursor,
    SnapshotQuery,
    SnapshotReason,
    SnapshotSelector,
)
from runstore_storage.database.connection import Connection
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
    conditions.append(_of_history(head, values) if head else scopes.IS_THERE)
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
