"""Storing snapshots inside a run's write transaction, and reading them whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import asyncpg

from runstore_storage import chain
from runstore_storage.contract.errors import (
    IdempotencyMismatch,
    SnapshotAhead,
    SnapshotNotFound,
    UnknownRef,
)
from runstore_storage.contract.heads import RunKey
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
from runstore_storage.database.engine import Database, reading, violated
from runstore_storage.database.threads import run_in_thread_if_large
from runstore_storage.payloads.compression import decompress
from runstore_storage.run_write import RunWrite
from runstore_storage.snapshots.manifests import (
    Manifest,
    Parts,
    metadata_terms,
    unique_blobs,
)
from runstore_storage.sql import blobs, snapshots, task_writes
from runstore_storage.sql.blobs import NewBlob
from runstore_storage.sql.columns import array_literal
from runstore_storage.sql.heads import Head
from runstore_storage.sql.snapshots import StoredRow


@dataclass(frozen=True, slots=True)
class PreparedSnapshot:
    """A snapshot whose parts are hashed and, where new, compressed before any lock is taken."""

    parts: Parts
    compressed: Sequence[NewBlob]


async def prepare_snapshot(engine: Database, key: RunKey, snapshot: Snapshot) -> PreparedSnapshot:
    """Hash the parts and compress those the run has not stored."""
    parts = Parts(snapshot)
    if not parts.payloads:
        return PreparedSnapshot(parts, ())
    async with reading(engine) as conn:
        stored = await blobs.find_by_key(conn, key, parts.payloads.keys())
    return PreparedSnapshot(parts, await _compressed(parts, stored))


async def _compressed(parts: Parts, stored: Collection[bytes]) -> list[NewBlob]:
    return await run_in_thread_if_large(parts.size, parts.compress, stored)


async def put(conn: Connection, write: RunWrite, prepared: PreparedSnapshot) -> StoredRow:
    """Store the snapshot at its seq, or at the run's last event for 0."""
    snapshot = prepared.parts.snapshot
    run, last_seq = write.head.run, write.head.last_seq
    snapshot = replace(snapshot, seq=snapshot.seq or last_seq)
    if snapshot.seq > last_seq:
        raise SnapshotAhead(write.key.run_id, snapshot.seq, last_seq)
    row = StoredRow(
        run=run,
        run_id=write.key.run_id,
        snapshot=snapshot,
        created_at=write.now,
        content_hash=chain.snapshot_hash(snapshot, prepared.parts.hash_of),
        manifest=await _store_parts(conn, write, prepared),
        parts_bytes=prepared.parts.size,
    )
    try:
        await snapshots.insert(
            conn,
            row,
            metadata_terms=array_literal(metadata_terms(snapshot.metadata)),
            pending_node_ids=array_literal(snapshot.pending_node_ids),
        )
    except asyncpg.IntegrityConstraintViolationError as error:
        if violated(error) == "pk_snapshots":
            raise IdempotencyMismatch("snapshot", snapshot.snapshot_id) from error
        raise
    write.touch()
    return row


async def _store_parts(conn: Connection, write: RunWrite, prepared: PreparedSnapshot) -> bytes:
    parts, run = prepared.parts, write.head.run
    stored = await blobs.ensure(conn, run, parts.hashes, prepared.compressed)
    if write.head.lineage and parts.missing(stored):
        # What the fork refers to and the other run stored becomes the fork's own.
        sources = [each.run for each in write.head.lineage]
        missing = parts.hashes - parts.payloads.keys() - stored.keys()
        stored |= await blobs.copy(conn, sources, run, missing)
    if unknown := parts.missing(stored):
        raise UnknownRef(write.key.run_id, unknown)
    if parts.payloads.keys() - stored.keys():
        # Parts that were stored when the snapshot was prepared have been deleted since.
        stored |= await blobs.ensure(conn, run, (), await _compressed(parts, stored.keys()))
    return parts.manifest(stored)


async def put_task_writes(
    conn: Connection, write: RunWrite, namespace: str, writes: Sequence[TaskWrite]
) -> bool:
    """Keep results of tasks; True when all were there. Their snapshots must exist."""
    for snapshot_id in sorted({each.snapshot_id for each in writes} - {""}):
        chosen = SnapshotSelector(snapshot_id=snapshot_id)
        if await snapshots.find(conn, write.head, namespace, chosen) is None:
            raise SnapshotNotFound(write.key.run_id, snapshot_id)
    return await task_writes.put(conn, write.head, write.now, namespace, writes)


async def fill(conn: Connection, rows: Iterable[StoredRow]) -> list[StoredSnapshot]:
    """The snapshots of rows with all their parts."""
    found = [(row, Manifest(row.manifest)) for row in rows]
    wanted = unique_blobs((row.run, manifest) for row, manifest in found)
    data = await blobs.read(conn, wanted) if wanted else {}
    size = sum(map(len, data.values()))

    def build() -> list[StoredSnapshot]:
        raw = {place: decompress(packed) for place, packed in data.items()}
        return [
            stored(row, manifest.fill(row.snapshot, {n: raw[row.run, n] for n in manifest.blobs}))
            for row, manifest in found
        ]

    return await run_in_thread_if_large(size, build)


def stored(row: StoredRow, snapshot: Snapshot | None = None) -> StoredSnapshot:
    """The row's snapshot, without parts unless a filled one is given."""
    return StoredSnapshot(row.run_id, snapshot or row.snapshot, row.created_at, row.content_hash)


def counted(rows: Iterable[StoredRow]) -> list[StoredSnapshot]:
    """The rows' snapshots without parts, with how many nodes each has."""
    return [replace(stored(row), node_count=Manifest(row.manifest).node_count) for row in rows]


async def read_whole(
    conn: Connection, head: Head, namespace: str, selector: SnapshotSelector
) -> tuple[StoredSnapshot | None, tuple[TaskWrite, ...]]:
    """The chosen snapshot in full, and the task writes since; since the beginning without one."""
    row = await snapshots.find(conn, head, namespace, selector)
    snapshot_id = row.snapshot.snapshot_id if row else ""
    writes = await task_writes.since(conn, head, namespace, snapshot_id)
    return (await fill(conn, [row]))[0] if row else None, writes


async def position(conn: Connection, head: Head, query: SnapshotQuery) -> SnapshotCursor:
    """Where the snapshot named by `query.before` stands in the run's order."""
    chosen = SnapshotSelector(snapshot_id=query.before)
    row = await snapshots.find(conn, head, query.namespace or "", chosen)
    if row is None:
        raise SnapshotNotFound(query.run_id, query.before)
    return place(row, query)


def place(row: StoredRow, query: SnapshotQuery) -> SnapshotCursor:
    """Where a row stands in the listing it is part of."""
    rank = row.snapshot.seq if query.run_id else microseconds(row.created_at)
    return SnapshotCursor(rank, row.run, row.snapshot.namespace, row.snapshot.snapshot_id)
