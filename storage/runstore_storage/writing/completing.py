"""Completing a run inside its write transaction, and revising the output of a completed one."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from runstore_storage import chain
from runstore_storage.chain import Salt
from runstore_storage.contract.errors import OutcomeConflict, OutcomeRequired, RunCompleted
from runstore_storage.contract.events import RUN_COMPLETED, Event
from runstore_storage.contract.heads import Guard, Outcome, RunKey, RunStatus
from runstore_storage.contract.outputs import CompletedRun, Completion, StoredOutput
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.snapshots import SnapshotSelector
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database
from runstore_storage.database.threads import THREAD_ITEMS, run_in_thread_if_large
from runstore_storage.ids import new_id
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.prepared_events import PreparedEvent, prepare_event, prepare_events
from runstore_storage.run_write import RunWrite, find_known
from runstore_storage.salts import Salts
from runstore_storage.snapshots.storing import (
    PlacedSnapshot,
    PreparedSnapshot,
    add_snapshot,
    place_snapshot,
    prepare_snapshot,
)
from runstore_storage.sql import blobs, outputs, snapshots
from runstore_storage.sql.blobs import NewBlob, store_blobs

_STATUS = {
    Outcome.SUCCEEDED: RunStatus.SUCCEEDED,
    Outcome.FAILED: RunStatus.FAILED,
    Outcome.CANCELLED: RunStatus.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class PreparedCompletion:
    """A completion that has been hashed and compressed before any lock is taken."""

    completion: Completion
    body_hash: bytes
    output_hash: bytes
    output_salt: Salt
    terminal_salt: Salt
    events: tuple[PreparedEvent, ...]
    snapshot: PreparedSnapshot | None
    blob: NewBlob | None
    """The blob that a large output is kept as."""


async def prepare_completion(
    engine: Database, offloading: Offloading, salts: Salts, key: RunKey, completion: Completion
) -> PreparedCompletion:
    of_output, of_terminal, of_snapshot, *of_events = salts.draw(3 + len(completion.events))
    body_hash, output_hash = await run_in_thread_if_large(
        completion.items, _hashes, completion, most=THREAD_ITEMS
    )
    final = completion.final_snapshot
    if final and not final.snapshot_id:
        final = replace(final, snapshot_id=new_id())
    return PreparedCompletion(
        completion,
        body_hash,
        output_hash,
        of_output,
        of_terminal,
        await offloading.offload_events(key, prepare_events(completion.events, of_events)),
        await prepare_snapshot(engine, key, final, of_snapshot) if final else None,
        await offloading.offload(key, completion.output.payload),
    )


def _hashes(completion: Completion) -> tuple[bytes, bytes]:
    """Those of the completion and of its output, which is hashed once for both."""
    output = chain.output_hash(completion.output)
    return chain.completion_hash(completion, output), output


async def complete(
    conn: Connection, write: RunWrite, prepared: PreparedCompletion, guard: Guard
) -> CompletedRun:
    """Repeat the first answer, complete the run, or add a revision to a completed one."""
    run, head = write.head.run, write.head
    before = await outputs.find(conn, run, prepared.body_hash)
    if before:
        revision, completed_at = before
        return CompletedRun(head.status, head.last_seq, revision, completed_at, deduplicated=True)
    outcome = prepared.completion.outcome
    write.check_epoch(guard.writer_epoch)
    known = await find_known(conn, [(write, prepared.events)])
    repeated = write.repeated(prepared.events, known)
    if head.is_completed:
        await _check_revision(conn, write, prepared, is_repeated=bool(repeated))
    elif outcome is Outcome.UNSPECIFIED and head.status is not RunStatus.EXTERNAL:
        raise OutcomeRequired(write.key.run_id)
    write.check_seq(guard.expected_seq)
    revision = await outputs.latest_revision(conn, run) + 1
    if not head.is_completed:
        for event in () if repeated else prepared.events:
            write.record(event)
        await _end(conn, write, prepared, revision)
    await _add_revision(conn, write, prepared, revision)
    write.touch()
    head = write.head
    return CompletedRun(head.status, head.last_seq, revision, write.now, deduplicated=False)


async def _add_revision(
    conn: Connection, write: RunWrite, prepared: PreparedCompletion, revision: int
) -> None:
    run, completion, blob = write.head.run, prepared.completion, prepared.blob
    stored = StoredOutput(
        completion.output,
        write.head.usage,
        completion.outcome,
        revision,
        write.now,
        prepared.output_salt,
    )
    numbers = await store_blobs(conn, [(run, blob)] if blob else [])
    await outputs.insert(
        conn,
        run,
        stored,
        body_hash=prepared.body_hash,
        blob=numbers[run, blob.sha256] if blob else None,
    )


async def _end(
    conn: Connection, write: RunWrite, prepared: PreparedCompletion, revision: int
) -> None:
    outcome, final = prepared.completion.outcome, prepared.snapshot
    placed = await place_snapshot(write, final, write.head.last_seq + 1) if final else None
    fact = Payload(json.dumps(_terminal_fact(prepared, placed, revision)))
    terminal = Event(type=RUN_COMPLETED, payload=fact)
    write.record(prepare_event(terminal, prepared.terminal_salt), is_terminal=True)
    if final and placed:
        stored = await blobs.ensure(conn, write.head.run, final.parts.hashes, final.compressed)
        await add_snapshot(conn, write, final, placed, stored)
    write.end(outcome)
    if outcome in _STATUS:
        write.set_status(_STATUS[outcome])


async def _check_revision(
    conn: Connection, write: RunWrite, prepared: PreparedCompletion, *, is_repeated: bool
) -> None:
    """A completed run takes another output, but no other outcome, event or snapshot."""
    run_id, head = write.key.run_id, write.head
    if prepared.completion.outcome is not head.outcome:
        raise OutcomeConflict(run_id, head.outcome)
    if prepared.events and not is_repeated:
        raise RunCompleted(run_id, head.last_seq)
    if prepared.snapshot:
        final = prepared.snapshot.parts.snapshot
        final = replace(final, seq=final.seq or head.last_seq)
        selector = SnapshotSelector(snapshot_id=final.snapshot_id)
        stored = await snapshots.find(conn, head, final.namespace, selector)
        if stored is None or stored.content_hash != await prepared.snapshot.content_hash(
            final, stored.salt
        ):
            raise RunCompleted(run_id, head.last_seq)


def _terminal_fact(
    prepared: PreparedCompletion, final: PlacedSnapshot | None, revision: int
) -> dict[str, object]:
    """What the terminal event says, and with it the chain: salted hashes tell nothing by
    themselves, and hashes without a salt would tell what was erased.
    """
    outcome, salt = prepared.completion.outcome, prepared.output_salt
    fact: dict[str, object] = {"outcome": outcome.name, "output_revision": revision}
    if salt is not None:
        sealed = chain.salted_hash(prepared.output_hash, salt)
        fact["output_sealed"] = sealed.hex()
        if final:
            fact["final_snapshot"] = {
                "namespace": final.snapshot.namespace,
                "snapshot_id": final.snapshot.snapshot_id,
                "content_hash": final.content_hash.hex(),
            }
    return fact
