"""A run's state at a seq, in one statement: the run, the latest snapshot of a namespace, and the
task writes and events since.

All of it is read as of one moment, and for a fork from the whole history: its own rows and as much
of each ancestor's as `heads.Ancestor` says. Reading each part by itself takes a round trip for each
run of the history and each part.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from runstore_storage.contract.errors import EventsArchived, RunNotFound
from runstore_storage.contract.event_rows import PAYLOAD_BYTES
from runstore_storage.contract.events import EventPage, RecordedEvent
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.pages import PAGE_BYTES
from runstore_storage.contract.runs import Run
from runstore_storage.contract.snapshots import TaskWrite
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import tenant
from runstore_storage.sql import events, heads, requests, runs, scopes, snapshots, task_writes
from runstore_storage.sql.columns import SINCE_EPOCH
from runstore_storage.sql.heads import Head, Segment
from runstore_storage.sql.requests import FirstAnswer
from runstore_storage.sql.snapshots import StoredRow

# The run itself is the last of its history. OFFSET keeps the task writes a look-up by key: the
# planner would read those of all runs.
_READ = tenant(f"""
    WITH found AS MATERIALIZED (
        SELECT {runs.SELECTED_WITH_PLAN}, r.lineage, h.xmin AS version,
               coalesce(:at_seq::bigint, h.last_seq) AS at_seq
        FROM {runs.JOINED}
        WHERE r.project = :project AND {scopes.ASKED_FOR} AND r.run_id = :run_id
    ), parts AS (
        SELECT part.age, (part.value->>0)::bigint AS run, (part.value->>1)::bigint AS last_seq,
               {SINCE_EPOCH.format("(part.value->>2)")} AS until,
               (part.value->>3)::boolean AS has_events
        FROM found, jsonb_array_elements(lineage) WITH ORDINALITY AS part(value, age)
        UNION ALL
        SELECT {2**31 - 1}, run, at_seq, 'infinity', true FROM found
    ), history AS MATERIALIZED (
        SELECT p.age, p.run, p.until, p.has_events, least(p.last_seq, f.at_seq) AS last_seq,
               1 + coalesce(max(p.last_seq) FILTER (WHERE p.has_events) OVER (
                   ORDER BY p.age ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
               ), 0) AS first_seq
        FROM parts p, found f
    ), latest AS MATERIALIZED (
        SELECT s.* FROM history x CROSS JOIN LATERAL (
            SELECT {snapshots.SELECTED} FROM snapshots s JOIN runs r ON r.run = s.run
            WHERE s.run = x.run AND s.namespace = :namespace
                AND s.seq <= x.last_seq AND s.created_at <= x.until
            ORDER BY s.seq DESC, s.snapshot_id DESC LIMIT 1
        ) AS s ORDER BY s.seq DESC, s.snapshot_id DESC LIMIT 1
    )
    SELECT f.*, CASE WHEN l.run IS NOT NULL THEN ROW(l.*) END AS snapshot,
        clock_timestamp() AS now,
        (
            SELECT ({requests.SELECTED}) FROM requests q
            WHERE q.run = f.run AND q.request_id = :request_id
        ) AS answer,
        array(
            SELECT ROW({task_writes.SELECTED}) FROM (
                SELECT DISTINCT ON (w.task_id, w."index") w.*
                FROM history x CROSS JOIN LATERAL (
                    SELECT * FROM task_writes w WHERE w.run = x.run AND w.namespace = :namespace
                        AND w.snapshot_id = coalesce(l.snapshot_id, '')
                        AND {task_writes.WITHIN.format(part="x")}
                    OFFSET 0
                ) AS w
                ORDER BY w.task_id, w."index", x.age DESC
            ) AS newest ORDER BY task_id, "index"
        ) AS task_writes,
        array(
            SELECT ROW({events.SELECTED}) FROM (
                SELECT *, sum(payload_bytes) OVER (ORDER BY seq) - payload_bytes AS bytes_before
                FROM (
                    SELECT e.* FROM history x CROSS JOIN LATERAL (
                        SELECT * FROM events WHERE run = x.run
                        AND seq BETWEEN greatest(x.first_seq, l.seq + 1) AND x.last_seq
                        ORDER BY seq LIMIT :limit
                    ) AS e WHERE x.has_events ORDER BY e.seq LIMIT :limit
                ) AS page
            ) AS measured WHERE bytes_before < :max_bytes ORDER BY seq
        ) AS events
    FROM found f LEFT JOIN latest l ON true
""")


class State(NamedTuple):
    """What was read, and when: `version` is the head's, `now` the database's time.

    `answer` is the first response to the request that was asked for.
    """

    run: Run
    head: Head
    version: int
    now: datetime
    answer: FirstAnswer | None
    snapshot: StoredRow | None
    task_writes: tuple[TaskWrite, ...]
    events: EventPage
    first_seq: int
    """The first seq that `events` begins with, if it is not empty."""

    @property
    def lacks_events(self) -> bool:
        """Whether some of the events are archived, and so not on the page."""
        first = max(self.first_seq, self._own.first_seq)
        return first <= min(self.head.archived_through, self.events.last_seq)

    @property
    def archived(self) -> EventsArchived:
        """What a reader of those is told."""
        first = self.head.archived_through + 1
        return EventsArchived(self.run.key.run_id, first, self.first_seq - 1)

    @property
    def _own(self) -> Segment:
        *_, own = self.head.segments
        return own


async def read(
    conn: Connection,
    key: RunKey,
    *,
    namespace: str,
    limit: int,
    at_seq: int | None = None,
    request_id: str = "",
) -> State:
    """The state at a seq, None for the last one; raise `RunNotFound`. Pages are cut as in `paging`.

    A seq that the run has not reached is as its last one.
    """
    found = await conn.execute(
        _READ,
        {
            "project": key.project,
            "run_id": key.run_id,
            "namespace": namespace,
            "at_seq": at_seq,
            "request_id": request_id,
            "limit": limit,
            "max_bytes": PAGE_BYTES,
        },
    )
    row = found.one_or_none()
    if row is None:
        raise RunNotFound(key)
    head = heads.with_lineage(row)
    snapshot = snapshots.stored_row(row["snapshot"]) if row["snapshot"] else None
    first_seq = (snapshot.snapshot.seq if snapshot else 0) + 1
    return State(
        run=runs.run_of(row),
        head=head,
        version=row["version"],
        now=row["now"],
        answer=FirstAnswer(*row["answer"]) if row["answer"] else None,
        snapshot=snapshot,
        task_writes=tuple(map(task_writes.task_write, row["task_writes"])),
        events=_page(row, head, first_seq, limit),
        first_seq=first_seq,
    )


def _page(row: Row, head: Head, first: int, limit: int) -> EventPage:
    selected = row["events"]
    found: tuple[RecordedEvent, ...] = tuple(map(events.recorded_event, selected))
    to_seq = min(row["at_seq"], head.last_seq)
    payload_bytes = sum(each[PAYLOAD_BYTES] for each in selected)
    is_cut = len(found) == limit or payload_bytes >= PAGE_BYTES
    next_from_seq = found[-1].seq + 1 if is_cut else max(first, to_seq + 1)
    return EventPage(found, next_from_seq, to_seq, head.is_completed, head.outcome)
