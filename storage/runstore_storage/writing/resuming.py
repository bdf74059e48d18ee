"""Claiming a run for a new writer inside its write transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass

from runstore_storage import chain
from runstore_storage.contract.events import RUN_RESUMED, Event, EventFilter
from runstore_storage.contract.heads import RunStatus
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import ResumedRun
from runstore_storage.contract.snapshots import SnapshotSelector
from runstore_storage.database.connection import Connection
from runstore_storage.prepared_events import prepare_event
from runstore_storage.reading.paging import event_page
from runstore_storage.run_write import RunWrite, store
from runstore_storage.snapshots.loading import load_snapshot
from runstore_storage.sql import requests, runs


@dataclass(frozen=True, slots=True)
class Resume:
    """A request to resume a run."""

    namespace: str
    request_id: str
    actor: str
    limit: int
    expected_seq: int | None = None

    @property
    def body_hash(self) -> bytes:
        return chain.request_hash("resume", self.namespace.encode(), self.actor.encode())


async def resume(conn: Connection, write: RunWrite, request: Resume) -> ResumedRun:
    """Claim the next epoch or repeat an earlier claim, then read what the writer needs."""
    name = f"resume:{request.request_id}" if request.request_id else ""
    before = await requests.find(conn, write.head.run, name, request.body_hash) if name else None
    epoch = int(before["writer_epoch"]) if before else await _claim(conn, write, request, name)
    return await _read(conn, write, request, epoch, deduplicated=before is not None)


async def _claim(conn: Connection, write: RunWrite, request: Resume, name: str) -> int:
    write.check_open()
    write.check_seq(request.expected_seq)
    epoch = write.claim()
    write.set_status(RunStatus.RUNNING)
    fact = Payload(json.dumps({"writer_epoch": epoch}))
    write.record(prepare_event(Event(type=RUN_RESUMED, payload=fact, actor=request.actor)))
    if name:
        response = {"writer_epoch": epoch}
        write.add(requests.insert(write.head.run, name, request.body_hash, response))
    await store(conn, [write])
    return epoch


async def _read(
    conn: Connection, write: RunWrite, request: Resume, epoch: int, *, deduplicated: bool
) -> ResumedRun:
    latest = SnapshotSelector()
    head = write.head
    run = await runs.get(conn, write.key)
    snapshot, writes = await load_snapshot(conn, head, request.namespace, latest)
    page = await event_page(
        conn,
        head,
        (snapshot.snapshot.seq if snapshot else 0) + 1,
        limit=request.limit,
        where=EventFilter(),
    )
    return ResumedRun(run, epoch, snapshot, writes, page, deduplicated)
