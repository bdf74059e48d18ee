"""Hashes of outputs."""

from __future__ import annotations

from runstore_storage.chain.canonical import canonical, digest
from runstore_storage.chain.events import event_hash
from runstore_storage.chain.fields import payload_field
from runstore_storage.chain.snapshots import snapshot_hash
from runstore_storage.contract.outputs import Completion, Output


def completion_hash(completion: Completion, output: bytes | None = None) -> bytes:
    """Hash of a whole completion; `output` is the `output_hash` where that is known already."""
    final = completion.final_snapshot
    return digest(
        "completion",
        completion.outcome,
        output or output_hash(completion.output),
        canonical(*map(event_hash, completion.events)),
        snapshot_hash(final) if final else b"",
    )


def output_hash(output: Output) -> bytes:
    """Hash of a run's result."""
    return digest(
        "output",
        payload_field(output.payload),
        output.schema_hash,
        output.plan_version_id,
        payload_field(output.provenance),
        payload_field(output.statistics),
    )
