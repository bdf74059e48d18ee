"""What a run knows of a write, in one statement: with the run's lock, or without.

A statement sees what was committed when it began, and its lock may be granted much later. Each
writer of a run changes its head before it commits, so what was seen is current if the locked head
is the head that was seen. Where it is not, the statement is executed again, under the lock. Without
a lock, what was seen is current for as long as the head has the same version.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from runstore_storage.chain import Salt
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.snapshots import TaskWrite
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import tenant
from runstore_storage.sql import heads, requests, scopes
from runstore_storage.sql.blobs import BlobRef
from runstore_storage.sql.heads import Head
from runstore_storage.sql.requests import FirstAnswer

# Sub-selects see what the statement saw when it began. The locked head is newer where the statement
# had to wait for a writer: Postgres then computes the columns once more, from the head as it is.
_LOOK = f"""
    SELECT {heads.SELECTED}, r.lineage::text, clock_timestamp() AS now, h.xmin AS version,
        h.xmin = (SELECT seen.xmin FROM run_heads seen WHERE seen.run = h.run) AS is_current,
        (
            SELECT ({requests.SELECTED}) FROM requests q
            WHERE q.run = h.run AND q.request_id = :request_id
        ) AS answer,
        EXISTS (
            SELECT FROM unnest(:event_ids::text[]) AS asked(event_id)
            JOIN events e ON e.run = h.run AND e.event_id = asked.event_id
        ) OR h.archived_through > 0 AND EXISTS (
            SELECT FROM unnest(:event_ids::text[]) AS asked(event_id)
            JOIN archived_events a ON a.run = h.run AND a.event_id = asked.event_id
        ) AS knows_events,
        array(
            SELECT (b.sha256, b.blob, b.is_json, b.content_type) FROM blobs b
            WHERE b.run = h.run AND b.sha256 = ANY(:hashes::bytea[])
        ) AS parts,
        array(
            SELECT s.snapshot_id FROM snapshots s WHERE s.run = h.run
            AND s.namespace = :namespace AND s.snapshot_id = ANY(:snapshot_ids::text[])
        ) AS snapshot_ids,
        array(
            SELECT CASE WHEN w.run IS NOT NULL THEN (w.salt, w.body_hash) END
            FROM unnest(:since::text[], :task_ids::text[], :indexes::integer[])
                WITH ORDINALITY AS asked(snapshot_id, task_id, "index", number)
            LEFT JOIN task_writes w ON w.run = h.run AND w.namespace = :namespace
                AND w.snapshot_id = asked.snapshot_id AND w.task_id = asked.task_id
                AND w."index" = asked."index"
            ORDER BY number
        ) AS writes
    FROM runs r JOIN run_heads h USING (run)
    WHERE r.project = :project AND {scopes.ASKED_FOR} AND r.run_id = :run_id
"""
_READ = tenant(_LOOK)
_LOCK = tenant(f"{_LOOK} FOR NO KEY UPDATE OF h")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a write asks its run: about a request, events, parts and task writes."""

    request_id: str = ""
    event_ids: Sequence[str] = ()
    hashes: Collection[bytes] = ()
    """Of parts; those in `sent` came in full and need not be known."""
    sent: Collection[bytes] = ()
    namespace: str = ""
    task_writes: Sequence[TaskWrite] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What a run knows: all of it stored by the run itself, not by those it is a fork of."""

    answer: FirstAnswer | None
    knows_events: bool
    """Whether any of the events is known."""
    parts: Mapping[bytes, BlobRef]
    snapshot_ids: Collection[str]
    """Which of the snapshots exist that the task writes follow."""
    writes: Sequence[tuple[Salt, bytes] | None]
    """For each task write the salt and the hash of the one that is stored in its place."""


class Seen(NamedTuple):
    """A run as it was seen: its head and the head's version, the database's time, what it knows."""

    head: Head
    version: int
    now: datetime
    known: Known


async def read(conn: Connection, key: RunKey, asked: Asked) -> Seen | None:
    """See a run without locking it; None where there is no such run."""
    row = (await conn.execute(_READ, _values(key, asked))).one_or_none()
    return _seen(row) if row else None


async def lock(conn: Connection, key: RunKey, asked: Asked) -> Seen | None:
    """Lock a run's head and see the run; None where there is no such run.

    The lock queues the writers of a run, as `heads.lock` does.
    """
    values = _values(key, asked)
    while True:
        row = (await conn.execute(_LOCK, values)).one_or_none()
        if row is None:
            return None
        if row["is_current"]:
            return _seen(row)


def _values(key: RunKey, asked: Asked) -> dict[str, object]:
    writes = asked.task_writes
    return {
        "project": key.project,
        "run_id": key.run_id,
        "request_id": asked.request_id,
        "event_ids": list(asked.event_ids),
        "hashes": list(asked.hashes),
        "namespace": asked.namespace,
        "snapshot_ids": list({write.snapshot_id for write in writes}),
        "since": [write.snapshot_id for write in writes],
        "task_ids": [write.task_id for write in writes],
        "indexes": [write.index for write in writes],
    }


def _seen(row: Row) -> Seen:
    return Seen(heads.with_lineage(row), row["version"], row["now"], _known(row))


def _known(row: Row) -> Known:
    return Known(
        answer=FirstAnswer(*row["answer"]) if row["answer"] else None,
        knows_events=row["knows_events"],
        parts={sha256: BlobRef(*ref) for sha256, *ref in row["parts"]},
        snapshot_ids=row["snapshot_ids"],
        writes=row["writes"],
    )
