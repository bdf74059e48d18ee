"""Snapshots and task writes inside a run's write transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from runstore_storage import chain
from runstore_storage.chain import Salt
from runstore_storage.contract.errors import (
    SnapshotAhead,
    SnapshotNotFound,
    UnknownRef,
)
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.snapshots import (
    Snapshot,
    SnapshotSelector,
    TaskWrite,
)
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading
from runstore_storage.database.threads import THREAD_ITEMS, run_in_thread_if_large
from runstore_storage.run_write import RunWrite
from runstore_storage.snapshots.manifests import HashedParts
from runstore_storage.snapshots.metadata import terms_of
from runstore_storage.snapshots.numbers import BlobNumbers
from runstore_storage.sql import blobs, snapshots, task_writes
from runstore_storage.sql.blobs import BlobRef, NewBlob
from runstore_storage.sql.columns import array_literal
from runstore_storage.sql.known import Known
from runstore_storage.sql.snapshots import StoredRow

# Parts of more bytes than this are looked up before they are compressed.
LOOKED_UP_BYTES = 32 << 10


@dataclass(frozen=True, slots=True)
class PreparedSnapshot:
    """A snapshot whose parts are hashed and, if new, compressed, before any lock is taken."""

    parts: HashedParts
    salt: Salt
    compressed: Sequence[NewBlob]
    metadata_terms: Sequence[str]

    async def content_hash(self, snapshot: Snapshot, salt: Salt) -> bytes:
        """The hash of a snapshot with these parts."""
        unsalted = await run_in_thread_if_large(
            snapshot.items, chain.snapshot_hash, snapshot, self.parts.hash_of, most=THREAD_ITEMS
        )
        return chain.salted_hash(unsalted, salt)


@dataclass(frozen=True, slots=True)
class PlacedSnapshot:
    """A snapshot with its seq, and its hash there."""

    snapshot: Snapshot
    content_hash: bytes


async def prepare_snapshot(
    engine: Database, key: RunKey, snapshot: Snapshot, salt: Salt
) -> PreparedSnapshot:
    """Hash the parts, and compress those that the run has not stored yet.

    Looking which they are would take longer than to compress a few kilobytes.
    """
    parts = await run_in_thread_if_large(snapshot.items, HashedParts, snapshot, most=THREAD_ITEMS)
    terms = await terms_of(snapshot.metadata)
    if parts.size <= LOOKED_UP_BYTES:
        return PreparedSnapshot(parts, salt, parts.compress(()), terms)
    async with reading(engine) as conn:
        stored = await blobs.find_by_key(conn, key, parts.payloads.keys())
    return PreparedSnapshot(parts, salt, await _compressed(parts, stored), terms)


async def _compressed(parts: HashedParts, stored: Collection[bytes]) -> list[NewBlob]:
    return await run_in_thread_if_large(parts.size, parts.compress, stored)


async def store_parts(
    conn: Connection,
    write: RunWrite,
    prepared: PreparedSnapshot,
    known: Mapping[bytes, BlobRef],
    numbers: BlobNumbers,
) -> Mapping[bytes, BlobRef]:
    """Have the parts stored that are not known; all parts of the snapshot that the run has then."""
    new = [each for each in prepared.compressed if each.sha256 not in known]
    if not new:
        return known
    is_one_statement = len(new) <= blobs.MOST_ROWS
    if is_one_statement and (numbered := await numbers.take(conn, len(new))):
        write.add(blobs.insert(write.head.run, new, numbered))
        write.parts |= blobs.refs(new, numbered)
    else:
        write.require_lock()
        write.parts |= await blobs.ensure(conn, write.head.run, (), new)
    return {**known, **write.parts}


async def place_snapshot(
    write: RunWrite, prepared: PreparedSnapshot, last_seq: int
) -> PlacedSnapshot:
    """The snapshot at its seq, or at `last_seq` if that is 0."""
    snapshot = prepared.parts.snapshot
    snapshot = replace(snapshot, seq=snapshot.seq or last_seq)
    if snapshot.seq > last_seq:
        raise SnapshotAhead(write.key.run_id, snapshot.seq, last_seq)
    return PlacedSnapshot(snapshot, await prepared.content_hash(snapshot, prepared.salt))


async def add_snapshot(
    conn: Connection,
    write: RunWrite,
    prepared: PreparedSnapshot,
    placed: PlacedSnapshot,
    stored: Mapping[bytes, BlobRef],
) -> StoredRow:
    """Add the snapshot, given its stored parts."""
    snapshot = placed.snapshot
    row = StoredRow(
        run=write.head.run,
        run_id=write.key.run_id,
        snapshot=snapshot,
        created_at=write.now,
        salt=prepared.salt,
        content_hash=placed.content_hash,
        manifest=await _manifest(conn, write, prepared, stored),
        parts_bytes=prepared.parts.size,
    )
    write.snapshots.append((snapshot.namespace, snapshot.snapshot_id))
    write.add(
        snapshots.insert(
            row,
            metadata_terms=array_literal(prepared.metadata_terms),
            pending_node_ids=array_literal(snapshot.pending_node_ids),
        )
    )
    return row


async def _manifest(
    conn: Connection, write: RunWrite, prepared: PreparedSnapshot, known: Mapping[bytes, BlobRef]
) -> bytes:
    parts, run, stored = prepared.parts, write.head.run, dict(known)
    if write.head.lineage and parts.missing(stored):
        write.require_lock()
        # Parts that the fork refers to and an ancestor stored are copied to the fork.
        sources = [each.run for each in write.head.lineage]
        missing = parts.hashes - parts.payloads.keys() - stored.keys()
        stored |= await blobs.copy(conn, sources, run, missing)
    if unknown := parts.missing(stored):
        raise UnknownRef(write.key.run_id, unknown)
    if parts.payloads.keys() - stored.keys():
        write.require_lock()
        # Some parts were stored when the snapshot was prepared, and have been deleted since.
        stored |= await blobs.ensure(conn, run, (), await _compressed(parts, stored.keys()))
    return await run_in_thread_if_large(
        parts.snapshot.items, parts.manifest, stored, most=THREAD_ITEMS
    )


async def add_task_writes(
    conn: Connection,
    write: RunWrite,
    namespace: str,
    writes: Sequence[TaskWrite],
    salts: Sequence[Salt],
    known: Known,
    *,
    new_snapshot_id: str = "",
) -> bool:
    """Add task results, whose snapshots must exist; False if all of them are stored."""
    exist = {"", new_snapshot_id, *known.snapshot_ids}
    for snapshot_id in sorted({each.snapshot_id for each in writes} - exist):
        selector = SnapshotSelector(snapshot_id=snapshot_id)
        if await snapshots.find(conn, write.head, namespace, selector) is None:
            raise SnapshotNotFound(write.key.run_id, snapshot_id)
    new = task_writes.put(write.head, write.now, namespace, writes, known.writes, salts)
    if new:
        write.add(new)
    return new is not None
