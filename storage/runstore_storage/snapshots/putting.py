"""PutSnapshot: a step's events and task writes and the snapshot after them, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from runstore_storage import chain
from runstore_storage.chain import Salt
from runstore_storage.contract.events import RUN_PAUSED, RUN_REPLANNED, Event
from runstore_storage.contract.heads import Guard, RunKey, RunStatus
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.snapshots import (
    PutSnapshotResult,
    Snapshot,
    SnapshotReason,
    TaskWrite,
)
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database
from runstore_storage.database.threads import THREAD_ITEMS, run_in_thread_if_large
from runstore_storage.ids import new_id
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.prepared_events import PreparedEvent, prepare_event, prepare_events
from runstore_storage.run_write import KnownEvents, RunWrite, find_known, store_one
from runstore_storage.salts import Salts
from runstore_storage.snapshots.manifests import HashedParts
from runstore_storage.snapshots.numbers import BlobNumbers
from runstore_storage.snapshots.storing import (
    PreparedSnapshot,
    add_snapshot,
    add_task_writes,
    place_snapshot,
    prepare_snapshot,
    store_parts,
)
from runstore_storage.sql import requests
from runstore_storage.sql.blobs import BlobRef
from runstore_storage.sql.known import Asked, Known
from runstore_storage.sql.requests import StoredResponse

# What a snapshot with such a reason does to its run: the event it appends, the status it sets.
_EFFECTS = {
    SnapshotReason.PAUSE: (RUN_PAUSED, RunStatus.PAUSED),
    SnapshotReason.REPLAN: (RUN_REPLANNED, RunStatus.RUNNING),
}


@dataclass(frozen=True, slots=True)
class SnapshotPut:
    """A request to put a snapshot, with the events and task writes of its step."""

    snapshot: Snapshot
    events: tuple[Event, ...]
    task_writes: tuple[TaskWrite, ...]
    guard: Guard
    request_id: str

    @property
    def name(self) -> str:
        """The name by which a repeated request is recognised; empty when it has none."""
        if self.request_id:
            return f"put_snapshot:{self.request_id}"
        if self.snapshot.snapshot_id:
            return f"snapshot:{self.snapshot.namespace}/{self.snapshot.snapshot_id}"
        return ""

    async def prepare(
        self, engine: Database, offloading: Offloading, salts: Salts, key: RunKey
    ) -> PreparedPut:
        """Hash and compress before any lock is taken."""
        of_snapshot, of_effect, of_request, *of_others = salts.draw(
            3 + len(self.events) + len(self.task_writes)
        )
        of_events = of_others[: len(self.events)]
        named = self.snapshot
        if not named.snapshot_id:
            named = replace(named, snapshot_id=new_id())
        snapshot = await prepare_snapshot(engine, key, named, of_snapshot)
        body_hash = await run_in_thread_if_large(
            named.items + len(self.events) + len(self.task_writes),
            self._body_hash,
            snapshot.parts,
            most=THREAD_ITEMS,
        )
        events = await offloading.offload_events(key, prepare_events(self.events, of_events))
        return PreparedPut(
            self,
            body_hash,
            events,
            snapshot,
            effect_salt=of_effect,
            request_salt=of_request,
            write_salts=of_others[len(self.events) :],
        )

    def _body_hash(self, parts: HashedParts) -> bytes:
        writes = (
            chain.canonical(each.snapshot_id, each.task_id, each.index, chain.task_write_hash(each))
            for each in self.task_writes
        )
        return chain.request_hash(
            "put_snapshot",
            chain.snapshot_hash(self.snapshot, parts.hash_of),
            chain.canonical(*map(chain.event_hash, self.events)),
            chain.canonical(*writes),
        )


@dataclass(frozen=True, slots=True)
class PreparedPut:
    """A put whose events and parts are hashed and compressed."""

    put: SnapshotPut
    body_hash: bytes
    events: tuple[PreparedEvent, ...]
    snapshot: PreparedSnapshot
    effect_salt: Salt
    """That of the event which the snapshot's reason appends."""
    request_salt: Salt
    write_salts: Sequence[Salt]

    @property
    def task_writes(self) -> list[TaskWrite]:
        """The task writes, each with the snapshot that it follows."""
        snapshot_id = self.snapshot.parts.snapshot.snapshot_id
        return [
            each if each.snapshot_id else replace(each, snapshot_id=snapshot_id)
            for each in self.put.task_writes
        ]

    @property
    def asked(self) -> Asked:
        """What has to be known of the run."""
        return Asked(
            request_id=self.put.name,
            event_ids=[each.event.event_id for each in self.events],
            hashes=self.snapshot.parts.hashes,
            sent=self.snapshot.parts.payloads.keys(),
            namespace=self.put.snapshot.namespace,
            task_writes=self.task_writes,
        )


async def put_snapshot(
    prepared: PreparedPut, numbers: BlobNumbers, conn: Connection, write: RunWrite, known: Known
) -> PutSnapshotResult:
    """Repeat the first answer, refuse the put, or store all of it."""
    put, run = prepared.put, write.head.run
    if known.answer:
        return _repeated(known.answer.to(put.name, prepared.body_hash))
    repeated = write.repeated(prepared.events, await _events(conn, write, prepared, known))
    write.check(put.guard)
    if not repeated:
        for event in prepared.events:
            write.record(event)
    _apply_reason(write, prepared)
    stored = await store_parts(conn, write, prepared.snapshot, known.parts, numbers)
    answer = await _add(conn, write, prepared, known, stored)
    if put.name:
        response = _remembered(answer)
        write.add(
            requests.insert(run, put.name, prepared.body_hash, response, prepared.request_salt)
        )
    await store_one(conn, write)
    return answer


async def _events(
    conn: Connection, write: RunWrite, prepared: PreparedPut, known: Known
) -> KnownEvents:
    """The events that were recorded before, in the run or in those that it is a fork of."""
    if known.knows_events or write.head.lineage:
        return await find_known(conn, [(write, prepared.events)])
    return {}


async def _add(
    conn: Connection,
    write: RunWrite,
    prepared: PreparedPut,
    known: Known,
    stored: Mapping[bytes, BlobRef],
) -> PutSnapshotResult:
    placed = await place_snapshot(write, prepared.snapshot, write.head.last_seq)
    row = await add_snapshot(conn, write, prepared.snapshot, placed, stored)
    namespace, snapshot_id = row.snapshot.namespace, row.snapshot.snapshot_id
    await add_task_writes(
        conn,
        write,
        namespace,
        prepared.task_writes,
        prepared.write_salts,
        known,
        new_snapshot_id=snapshot_id,
    )
    return PutSnapshotResult(
        snapshot_id=snapshot_id,
        seq=row.snapshot.seq,
        content_hash=row.content_hash,
        created_at=row.created_at,
        last_seq=write.head.last_seq,
        deduplicated=False,
    )


def _apply_reason(write: RunWrite, prepared: PreparedPut) -> None:
    """Append the event of a pause or a new plan, and set the status that goes with it."""
    snapshot = prepared.snapshot.parts.snapshot
    if snapshot.reason not in _EFFECTS:
        return
    type_, status = _EFFECTS[snapshot.reason]
    fact = {
        "namespace": snapshot.namespace,
        "snapshot_id": snapshot.snapshot_id,
        "plan_version_id": snapshot.plan_version_id,
    }
    event = Event(type=type_, payload=Payload(json.dumps(fact)))
    write.record(prepare_event(event, prepared.effect_salt))
    write.set_status(status)


def _remembered(answer: PutSnapshotResult) -> StoredResponse:
    return {
        "snapshot_id": answer.snapshot_id,
        "seq": answer.seq,
        "content_hash": answer.content_hash.hex(),
        "created_at": answer.created_at.isoformat(),
        "last_seq": answer.last_seq,
    }


def _repeated(answer: StoredResponse) -> PutSnapshotResult:
    return PutSnapshotResult(
        snapshot_id=str(answer["snapshot_id"]),
        seq=int(answer["seq"]),
        content_hash=bytes.fromhex(str(answer["content_hash"])),
        created_at=datetime.fromisoformat(str(answer["created_at"])),
        last_seq=int(answer["last_seq"]),
        deduplicated=True,
    )
