"""One step of a run in one transaction: its events, its task writes, the snapshot after it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime

from runstore_storage import chain
from runstore_storage.contract.events import RUN_PAUSED, RUN_REPLANNED, Event
from runstore_storage.contract.heads import Guard, RunKey, RunStatus
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.snapshots import (
    PutSnapshotAnswer,
    Snapshot,
    SnapshotReason,
    TaskWrite,
)
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database
from runstore_storage.ids import new_id
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.run_write import PreparedEvent, RunWrite, find_known, prepare, store
from runstore_storage.snapshots.storing import (
    PreparedSnapshot,
    prepare_snapshot,
    store_snapshot,
    store_task_writes,
)
from runstore_storage.sql import requests
from runstore_storage.sql.requests import Answer

# What a snapshot says beyond itself: (its event, the run's status).
_ANNOUNCED = {
    SnapshotReason.PAUSE: (RUN_PAUSED, RunStatus.PAUSED),
    SnapshotReason.REPLAN: (RUN_REPLANNED, RunStatus.RUNNING),
}


@dataclass(frozen=True, slots=True)
class Step:
    """What PutSnapshot was asked."""

    snapshot: Snapshot
    events: tuple[Event, ...]
    task_writes: tuple[TaskWrite, ...]
    guard: Guard
    request_id: str

    @property
    def name(self) -> str:
        """What a repetition is recognised by; empty when it cannot be."""
        if self.request_id:
            return f"put_snapshot:{self.request_id}"
        if self.snapshot.snapshot_id:
            return f"snapshot:{self.snapshot.namespace}/{self.snapshot.snapshot_id}"
        return ""

    async def prepare(self, engine: Database, offloading: Offloading, key: RunKey) -> PreparedStep:
        """Hash and compress what can be before any lock is taken."""
        named = self.snapshot
        if not named.snapshot_id:
            named = replace(named, snapshot_id=new_id())
        snapshot = await prepare_snapshot(engine, key, named)
        body_hash = chain.request_hash(
            "put_snapshot",
            chain.snapshot_hash(self.snapshot, snapshot.parts.hash_of),
            chain.canonical(*map(chain.event_hash, self.events)),
            chain.canonical(
                *(
                    chain.canonical(
                        write.snapshot_id, write.task_id, write.index, chain.task_write_hash(write)
                    )
                    for write in self.task_writes
                )
            ),
        )
        events = await offloading.pack_events(key, prepare(self.events))
        return PreparedStep(self, body_hash, events, snapshot)


@dataclass(frozen=True, slots=True)
class PreparedStep:
    step: Step
    body_hash: bytes
    events: tuple[PreparedEvent, ...]
    snapshot: PreparedSnapshot


async def put_step(conn: Connection, write: RunWrite, prepared: PreparedStep) -> PutSnapshotAnswer:
    """Repeat the first answer, refuse the step, or store it whole."""
    step, run = prepared.step, write.head.run
    if step.name:
        before = await requests.find(conn, run, step.name, prepared.body_hash)
        if before:
            return _repeated(before)
    known = await find_known(conn, [(write, prepared.events)])
    repeated = write.repeated(prepared.events, known)
    write.check(step.guard)
    if not repeated:
        for event in prepared.events:
            write.record(event)
    _announce(write, prepared.snapshot.parts.snapshot)
    row = await store_snapshot(conn, write, prepared.snapshot)
    if step.task_writes:
        namespace, snapshot_id = row.snapshot.namespace, row.snapshot.snapshot_id
        writes = [
            each if each.snapshot_id else replace(each, snapshot_id=snapshot_id)
            for each in step.task_writes
        ]
        await store_task_writes(conn, write, namespace, writes)
    answer = PutSnapshotAnswer(
        snapshot_id=row.snapshot.snapshot_id,
        seq=row.snapshot.seq,
        content_hash=row.content_hash,
        created_at=row.created_at,
        last_seq=write.head.last_seq,
        deduplicated=False,
    )
    if step.name:
        await requests.insert(conn, run, step.name, prepared.body_hash, _remembered(answer))
    await store(conn, [write])
    return answer


def _announce(write: RunWrite, snapshot: Snapshot) -> None:
    """Append the event of a pause or a new plan, and set the status it means."""
    if snapshot.reason not in _ANNOUNCED:
        return
    type_, status = _ANNOUNCED[snapshot.reason]
    fact = {
        "namespace": snapshot.namespace,
        "snapshot_id": snapshot.snapshot_id,
        "plan_version_id": snapshot.plan_version_id,
    }
    write.record(prepare([Event(type=type_, payload=Payload(json.dumps(fact)))])[0])
    write.set_status(status)


def _remembered(answer: PutSnapshotAnswer) -> Answer:
    return {
        "snapshot_id": answer.snapshot_id,
        "seq": answer.seq,
        "content_hash": answer.content_hash.hex(),
        "created_at": answer.created_at.isoformat(),
        "last_seq": answer.last_seq,
    }


def _repeated(answer: Answer) -> PutSnapshotAnswer:
    return PutSnapshotAnswer(
        snapshot_id=str(answer["snapshot_id"]),
        seq=int(answer["seq"]),
        content_hash=bytes.fromhex(str(answer["content_hash"])),
        created_at=datetime.fromisoformat(str(answer["created_at"])),
        last_seq=int(answer["last_seq"]),
        deduplicated=True,
    )
