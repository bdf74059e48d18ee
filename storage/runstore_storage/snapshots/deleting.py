"""Deleting snapshots of a run, and the parts that only they referred to.

Only the manifests of the run's other snapshots say whether a part is still referred to. They are
read before the run is locked; under its lock, only those put since. A snapshot's row never changes,
and a row put after a deletion has a later time than any row before it, so what was read from a row
stays true for as long as the row exists.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from runstore_storage.contract.errors import SnapshotInUse
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.snapshots import DeletedSnapshots
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading
from runstore_storage.database.threads import run_in_thread_if_large
from runstore_storage.run_write import RunWrite
from runstore_storage.snapshots.manifests import Manifest
from runstore_storage.sql import blobs, heads, holds, snapshot_deletions, task_writes
from runstore_storage.sql.snapshot_deletions import RowId

MANIFESTS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class SnapshotDeletion:
    """A request to delete snapshots."""

    namespace: str
    snapshot_ids: tuple[str, ...]
    writer_epoch: int | None


@dataclass(frozen=True, slots=True)
class References:
    """Which of the `candidates` for deletion the snapshots of a run refer to, by row."""

    candidates: frozenset[int] = frozenset()
    found: dict[RowId, frozenset[int]] = field(default_factory=dict)

    async def read(self, conn: Connection, run: int) -> set[int]:
        """Read the manifests not read yet; return the candidates that are referred to."""
        present = await snapshot_deletions.row_ids(conn, run)
        unread = [row for row in present if row not in self.found]
        for start in range(0, len(unread), MANIFESTS_AT_ONCE):
            manifests = await snapshot_deletions.manifests(
                conn, run, unread[start : start + MANIFESTS_AT_ONCE]
            )
            wanted = [stored for _, stored in manifests]
            for (row, _), named in zip(manifests, await _blobs(wanted), strict=True):
                self.found[row] = self.candidates & named
        return {blob for row in present for blob in self.found.get(row, ())}


NO_REFERENCES = References()


async def read_references(engine: Database, key: RunKey, deletion: SnapshotDeletion) -> References:
    """Which parts of the snapshots to delete the run's snapshots refer to, read without a lock."""
    async with reading(engine) as conn:
        head = await heads.find(conn, key)
        if head is None:
            return References()
        deleted = await snapshot_deletions.manifests_by_id(
            conn, head.run, deletion.namespace, deletion.snapshot_ids
        )
        references = References(await _all_blobs(deleted))
        if references.candidates:
            await references.read(conn, head.run)
        return references


async def delete_snapshots(
    conn: Connection, write: RunWrite, deletion: SnapshotDeletion, references: References
) -> DeletedSnapshots:
    """Delete those of the snapshots that exist, their task writes, and parts no longer needed."""
    run, namespace = write.head.run, deletion.namespace
    write.check_epoch(deletion.writer_epoch)
    await holds.refuse_if_held(conn, write.key, run)
    in_use = await snapshot_deletions.find_in_fork(conn, run, namespace, deletion.snapshot_ids)
    if in_use:
        raise SnapshotInUse(write.key.run_id, namespace, *in_use)
    found = await remove_snapshots(conn, run, namespace, deletion.snapshot_ids, references)
    if found.snapshots:
        # Any snapshot put from now on is later than the deleted rows, not taken for one of them.
        write.advance_clock()
        await heads.update(conn, write.changed)
    return found


async def remove_snapshots(
    conn: Connection,
    run: int,
    namespace: str,
    snapshot_ids: Collection[str],
    references: References = NO_REFERENCES,
) -> DeletedSnapshots:
    """Delete those of the snapshots that exist, as they may be, of a run whose head is locked."""
    deleted = await snapshot_deletions.delete(conn, run, namespace, snapshot_ids)
    candidates = await _all_blobs(deleted.values())
    if not candidates <= references.candidates:
        references = References(candidates)
    freed = await blobs.delete(conn, run, candidates - await references.read(conn, run))
    writes = await task_writes.delete(conn, run, namespace, deleted)
    return DeletedSnapshots(len(deleted), writes, freed)


async def _all_blobs(manifests: Collection[bytes]) -> frozenset[int]:
    return frozenset().union(*await _blobs(list(manifests)))


async def _blobs(manifests: Sequence[bytes]) -> list[set[int]]:
    """The blobs that each manifest names."""

    def named() -> list[set[int]]:
        return [Manifest(each).blobs for each in manifests]

    return await run_in_thread_if_large(sum(map(len, manifests)), named)
