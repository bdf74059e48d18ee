"""Hashes of snapshots and task writes."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from runstore_storage.chain.canonical import canonical, digest
from runstore_storage.chain.fields import payload_field
from runstore_storage.contract.payloads import Ref, SnapshotPart
from runstore_storage.contract.snapshots import PlanNode, Snapshot, TaskWrite


def snapshot_hash(
    snapshot: Snapshot, hash_of: Callable[[SnapshotPart], bytes] | None = None
) -> bytes:
    """Hash of a snapshot, which covers only the SHA-256 of the content of each part.

    `hash_of` stands in for `part_hash` where the hashes are known already.
    """
    hashed = hash_of or part_hash
    return digest(
        "snapshot",
        snapshot.namespace,
        snapshot.snapshot_id,
        snapshot.parent_snapshot_id,
        snapshot.seq,
        snapshot.plan_version_id,
        snapshot.reason,
        canonical(*(_node(node, hashed) for node in snapshot.nodes)),
        canonical(*snapshot.pending_node_ids),
        canonical(
            *(canonical(name, hashed(snapshot.state[name])) for name in sorted(snapshot.state))
        ),
        payload_field(snapshot.metadata),
    )


def task_write_hash(write: TaskWrite) -> bytes:
    """Hash of a task's result."""
    return digest("task_write", write.channel, payload_field(write.payload))


def part_hash(part: SnapshotPart) -> bytes:
    """SHA-256 of a part's content."""
    return part.sha256 if isinstance(part, Ref) else sha256(part.data).digest()


def _node(node: PlanNode, hashed: Callable[[SnapshotPart], bytes]) -> bytes:
    parts = (node.input_schema, node.output_schema, node.provenance, node.state)
    return canonical(
        node.node_id,
        node.kind,
        canonical(*node.facets),
        node.status,
        *(hashed(part) if part else b"" for part in parts),
    )
