"""Claiming a run for a new writer, who gets what it needs to go on.

What it gets is read before the claim is stored: each writer of a run gives its head another
version, so it is still true if the head has the version that it was read with.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from runstore_storage import chain
from runstore_storage.chain import Salt
from runstore_storage.contract.events import RUN_RESUMED, Event, EventPage
from runstore_storage.contract.heads import RunKey, RunStatus
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import ResumedRun
from runstore_storage.contract.scope import scoped
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.prepared_events import prepare_event
from runstore_storage.run_write import NeedsLock, RunWrite, lock_run, store_one
from runstore_storage.salts import Salts
from runstore_storage.snapshots.loading import with_all_parts
from runstore_storage.sql import requests, runs, states
from runstore_storage.sql.states import State


@dataclass(frozen=True, slots=True)
class Resume:
    """A request to resume a run."""

    namespace: str
    request_id: str
    actor: str
    limit: int
    expected_seq: int | None = None

    @property
    def name(self) -> str:
        """The name by which a repeated request is recognised; empty when it has none."""
        return f"resume:{self.request_id}" if self.request_id else ""

    @property
    def body_hash(self) -> bytes:
        return chain.request_hash("resume", self.namespace.encode(), self.actor.encode())


async def resume(
    engine: Database, salts: Salts, key: RunKey, request: Resume
) -> tuple[RunWrite, ResumedRun]:
    """Claim the next epoch or repeat an earlier claim; what was written to the run, if anything."""
    drawn = salts.draw(2)
    try:
        async with reading(engine) as conn:
            found = await _read(conn, key, request)
            write = RunWrite(scoped(key), found.head, found.now, found.version)
            return write, await _resumed(conn, write, found, request, drawn)
    except NeedsLock:
        async with writing(engine) as conn:
            write = await lock_run(conn, key)
            found = await _read(conn, key, request)
            return write, await _resumed(conn, write, found, request, drawn)


async def _read(conn: Connection, key: RunKey, request: Resume) -> State:
    found = await states.read(
        conn, key, namespace=request.namespace, limit=request.limit, request_id=request.name
    )
    if found.lacks_events and not found.head.is_completed:
        raise found.archived
    return found


async def _resumed(
    conn: Connection, write: RunWrite, found: State, request: Resume, salts: Sequence[Salt]
) -> ResumedRun:
    before = found.answer.to(request.name, request.body_hash) if found.answer else None
    snapshot = await with_all_parts(conn, found.snapshot)
    resumed = ResumedRun(
        run=found.run,
        writer_epoch=int(before["writer_epoch"]) if before else write.head.writer_epoch,
        snapshot=snapshot,
        task_writes=found.task_writes,
        events=found.events,
        deduplicated=before is not None,
    )
    return resumed if before else await _claimed(conn, write, resumed, request, salts)


async def _claimed(
    conn: Connection,
    write: RunWrite,
    resumed: ResumedRun,
    request: Resume,
    salts: Sequence[Salt],
) -> ResumedRun:
    """Store the claim; what was read, as it is after it."""
    of_event, of_request = salts
    write.check_open()
    write.check_seq(request.expected_seq)
    epoch = write.claim()
    write.set_status(RunStatus.RUNNING)
    fact = Payload(json.dumps({"writer_epoch": epoch}))
    event = Event(type=RUN_RESUMED, payload=fact, actor=request.actor)
    write.record(prepare_event(event, of_event))
    if request.name:
        response = {"writer_epoch": epoch}
        write.add(
            requests.insert(write.head.run, request.name, request.body_hash, response, of_request)
        )
    await store_one(conn, write)
    return replace(
        resumed,
        run=runs.at(resumed.run, write.head),
        writer_epoch=epoch,
        events=_with_new(resumed.events, write, request.limit),
    )


def _with_new(page: EventPage, write: RunWrite, limit: int) -> EventPage:
    """The page with the events that were written, if there is room for them behind its last one."""
    last_seq = write.head.last_seq
    if not page.reaches_end or len(page.events) == limit:
        return replace(page, last_seq=last_seq)
    events = (*page.events, *write.recorded())
    return replace(page, events=events, next_from_seq=last_seq + 1, last_seq=last_seq)
