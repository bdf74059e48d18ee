"""Snapshots read back: whole, or as much of them as a listing shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from runstore_storage.contract.errors import SnapshotNotFound
from runstore_storage.contract.snapshots import (
    Snapshot,
    SnapshotCursor,
    SnapshotQuery,
    SnapshotSelector,
    StoredSnapshot,
    TaskWrite,
)
from runstore_storage.contract.times import microseconds
from runstore_storage.database.connection import Connection
from runstore_storage.database.threads import THREAD_BYTES, THREAD_ITEMS, run_in_thread_if_large
from runstore_storage.payloads.compression import decompress
from runstore_storage.snapshots.manifests import Manifest, unique_blobs
from runstore_storage.sql import blobs, snapshots, task_writes
from runstore_storage.sql.heads import Head
from runstore_storage.sql.snapshots import StoredRow
from runstore_storage.sql.task_writes import Since


async def load_snapshot(
    conn: Connection, head: Head, namespace: str, selector: SnapshotSelector
) -> tuple[StoredSnapshot | None, tuple[TaskWrite, ...]]:
    """The selected snapshot with its parts, and the task writes since.

    Without a snapshot, the task writes since the run began.
    """
    row = await snapshots.find(conn, head, namespace, selector)
    snapshot_id = row.snapshot.snapshot_id if row else ""
    asked = task_writes.in_history(head, namespace, snapshot_id)
    (writes,) = await task_writes.since(conn, [asked])
    return await with_all_parts(conn, row), writes


async def with_all_parts(conn: Connection, row: StoredRow | None) -> StoredSnapshot | None:
    """A row's snapshot with all its parts, if there is a row."""
    return (await with_parts(conn, [row]))[0] if row else None


async def with_parts(conn: Connection, rows: Iterable[StoredRow]) -> list[StoredSnapshot]:
    """The rows' snapshots with all their parts."""
    found = [(row, Manifest(row.manifest)) for row in rows]
    wanted = unique_blobs((row.run, manifest) for row, manifest in found)
    data = await blobs.read(conn, wanted) if wanted else {}
    # Each part takes as long as some bytes, and a small blob may hold a large one.
    size = sum(map(len, data.values())) + len(data) * (THREAD_BYTES // THREAD_ITEMS)

    def build() -> list[StoredSnapshot]:
        contents = {name: decompress(packed) for name, packed in data.items()}
        return [
            _stored(
                row, manifest.fill(row.snapshot, {n: contents[row.run, n] for n in manifest.blobs})
            )
            for row, manifest in found
        ]

    return await run_in_thread_if_large(size, build)


def without_parts(rows: Iterable[StoredRow]) -> list[StoredSnapshot]:
    """The rows' snapshots without parts."""
    return [_stored(row, row.snapshot) for row in rows]


def with_node_counts(rows: Iterable[StoredRow]) -> list[StoredSnapshot]:
    """The rows' snapshots without parts, with the number of nodes each has."""
    return [
        replace(_stored(row, row.snapshot), node_count=Manifest(row.manifest).node_count)
        for row in rows
    ]


def since_rows(head: Head | None, rows: Iterable[StoredRow]) -> list[Since]:
    """The writes since each row's snapshot: in the history of a run, or of the row's own run."""
    found = ((row.run, row.snapshot.namespace, row.snapshot.snapshot_id) for row in rows)
    if head is None:
        return [task_writes.of_run(*each) for each in found]
    return [task_writes.in_history(head, namespace, id_) for _, namespace, id_ in found]


async def cursor_before(conn: Connection, head: Head, query: SnapshotQuery) -> SnapshotCursor:
    """The cursor that begins a listing behind the snapshot named by `query.before`."""
    selector = SnapshotSelector(snapshot_id=query.before)
    row = await snapshots.find(conn, head, query.namespace or "", selector)
    if row is None:
        raise SnapshotNotFound(query.run_id, query.before)
    return cursor_of(row, query)


def cursor_of(row: StoredRow, query: SnapshotQuery) -> SnapshotCursor:
    """The cursor that continues a listing behind a row."""
    rank = row.snapshot.seq if query.run_id else microseconds(row.created_at)
    return SnapshotCursor(rank, row.run, row.snapshot.namespace, row.snapshot.snapshot_id)


def _stored(row: StoredRow, snapshot: Snapshot) -> StoredSnapshot:
    return StoredSnapshot(row.run_id, snapshot, row.created_at, row.content_hash, row.salt)
