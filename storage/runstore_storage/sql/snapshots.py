"""snapshots: manifests and what they are found by."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from runstore_storage.contract.snapshots import (
    Snapshot,
    SnapshotCursor,
    SnapshotQuery,
    SnapshotReason,
    SnapshotSelector,
)
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import composed, statement
from runstore_storage.sql.columns import by_column, insert_rows, payload_columns, payload_of
from runstore_storage.sql.heads import Ancestor, Head

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
_INSERT = statement(insert_rows("snapshots", _COLUMNS))
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

_WITHIN = " AND s.seq <= :last_seq AND s.created_at <= :until"

_SINCE_EPOCH = "timestamptz 'epoch' + CAST({} AS bigint) * interval '1 microsecond'"
# What snapshots are ordered by, descending: (SQL, field of SnapshotCursor, its parameter).
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


# What a fork sees of a run is in its lineage, and a fork of that fork sees no more of it.
_IN_FORK = statement(
    "SELECT s.snapshot_id, f.run_id FROM runs f"
    " CROSS JOIN LATERAL jsonb_array_elements(f.lineage) AS part"
    " JOIN snapshots s ON s.run = :run AND s.namespace = :namespace"
    " AND s.snapshot_id = ANY(CAST(:ids AS text[])) AND s.seq <= CAST(part->>1 AS bigint)"
    f" AND s.created_at <= {_SINCE_EPOCH.format('part->>2')}"
    " WHERE f.fork_parent = :run AND CAST(part->>0 AS bigint) = :run LIMIT 1"
)
_OF_IDS = " WHERE run = :run AND namespace = :namespace AND snapshot_id = ANY(CAST(:ids AS text[]))"
_DELETE = statement(f"DELETE FROM snapshots{_OF_IDS} RETURNING snapshot_id, manifest")
_MANIFESTS_BY_ID = statement(f"SELECT manifest FROM snapshots{_OF_IDS}")
_ROW_IDS = statement("SELECT namespace, snapshot_id, created_at FROM snapshots WHERE run = :run")
_MANIFESTS = statement(
    "SELECT s.namespace, s.snapshot_id, s.created_at, s.manifest"
    " FROM unnest(CAST(:namespaces AS text[]), CAST(:ids AS text[]),"
    " CAST(:times AS timestamptz[])) AS k(namespace, snapshot_id, created_at)"
    " JOIN snapshots s ON s.run = :run AND s.namespace = k.namespace"
    " AND s.snapshot_id = k.snapshot_id AND s.created_at = k.created_at"
)


class RowId(NamedTuple):
    """A row of one run: an id that is put again after a deletion is another row."""

    namespace: str
    snapshot_id: str
    created_at: datetime


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
    conn: Connection, row: StoredRow, *, metadata_terms: str, pending_node_ids: str
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
    conn: Connection, head: Head, namespace: str, selector: SnapshotSelector
) -> StoredRow | None:
    """The chosen snapshot of the run's history; the latest of those that fit."""
    parts = [(head.run, None), *((each.run, each) for each in head.lineage)]
    found = [
        row for run, within in parts if (row := await _find(conn, run, namespace, selector, within))
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
    bounds: dict[str, object] = (
        {"last_seq": within.last_seq, "until": within.until} if within else {}
    )
    found = await conn.execute(
        composed(
            f"{_SELECT} s.run = :run AND s.namespace = :namespace"
            + "".join(_BY[name] for name in asked)
            + (_WITHIN if within else "")
            + " ORDER BY s.seq DESC, s.snapshot_id DESC LIMIT 1"
        ),
        {"run": run, "namespace": namespace, **asked, **bounds},
    )
    row = found.one_or_none()
    return _row(row) if row else None


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
    conditions = ["r.project = :project"]
    values: dict[str, object] = {"project": query.project, "limit": limit}
    if head:
        conditions.append(_of_history(head, values))
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
        composed(
            f"{_SELECT}{' AND '.join(conditions)}"
            f" ORDER BY {', '.join(sql + ' DESC' for sql, _, _ in order)} LIMIT :limit"
        ),
        values,
    )
    return [_row(row) for row in found]


async def find_in_fork(
    conn: Connection, run: int, namespace: str, snapshot_ids: Collection[str]
) -> tuple[str, str] | None:
    """One of the snapshots that a fork has in its history, and the fork's run_id."""
    found = await conn.execute(_IN_FORK, _ids(run, namespace, snapshot_ids))
    row = found.one_or_none()
    return (row[0], row[1]) if row else None


async def delete(
    conn: Connection, run: int, namespace: str, snapshot_ids: Collection[str]
) -> Mapping[str, bytes]:
    """Delete the snapshots of the run that are there; their manifests by id."""
    found = await conn.execute(_DELETE, _ids(run, namespace, snapshot_ids))
    return {row[0]: row[1] for row in found}


async def manifests_by_id(
    conn: Connection, run: int, namespace: str, snapshot_ids: Collection[str]
) -> list[bytes]:
    """The manifests of those snapshots of the run that are there."""
    found = await conn.execute(_MANIFESTS_BY_ID, _ids(run, namespace, snapshot_ids))
    return [row[0] for row in found]


async def row_ids(conn: Connection, run: int) -> list[RowId]:
    """All snapshots of the run itself, of any namespace."""
    return [RowId(*row) for row in await conn.execute(_ROW_IDS, {"run": run})]


async def manifests(conn: Connection, run: int, rows: Sequence[RowId]) -> list[tuple[RowId, bytes]]:
    """The manifests of the rows that are still there."""
    found = await conn.execute(
        _MANIFESTS,
        {
            "run": run,
            "namespaces": [row.namespace for row in rows],
            "ids": [row.snapshot_id for row in rows],
            "times": [row.created_at for row in rows],
        },
    )
    return [(RowId(*row[:3]), row[3]) for row in found]


def _ids(run: int, namespace: str, snapshot_ids: Collection[str]) -> dict[str, object]:
    return {"run": run, "namespace": namespace, "ids": list(snapshot_ids)}


def _of_history(head: Head, values: dict[str, object]) -> str:
    """The condition that selects a run's history; its parameters go to `values`."""
    values["run"] = head.run
    places = ["s.run = :run"]
    for number, each in enumerate(head.lineage):
        values |= {
            f"run_{number}": each.run,
            f"last_seq_{number}": each.last_seq,
            f"until_{number}": each.until,
        }
        places.append(
            f"(s.run = :run_{number} AND s.seq <= :last_seq_{number}"
            f" AND s.created_at <= :until_{number})"
        )
    return f"({' OR '.join(places)})"


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
