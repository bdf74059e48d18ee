"""feed: ranges of events in the order in which they were published.

A row holds the events first_seq..last_seq of one run at consecutive positions that end with
`last_position`, so an event's position is `last_position - last_seq + seq`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from runstore_storage.contract.events import EventFilter
from runstore_storage.contract.feed import RELAY, FeedEntry, FeedFilter
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import system, tenant
from runstore_storage.sql import duties, events

# Ranges turned into entries by one transaction, and looked at by one page.
PUBLISHED_RANGES = 2000
PAGE_RANGES = 1000

_PUBLISH = system(f"""
    WITH {duties.HELD}, taken AS (
        DELETE FROM outbox
        WHERE EXISTS (SELECT FROM held) AND id IN (SELECT id FROM outbox ORDER BY id LIMIT :limit)
        RETURNING id, run, first_seq, last_seq
    ), placed AS (
        INSERT INTO feed (last_position, run, first_seq, last_seq, project, published_at)
        SELECT h.position + sum(t.last_seq - t.first_seq + 1) OVER (ORDER BY t.id),
               t.run, t.first_seq, t.last_seq, r.project, clock_timestamp()
        FROM held h CROSS JOIN taken t JOIN runs r ON r.run = t.run
        RETURNING last_position
    ), moved AS (
        UPDATE duties SET position = (SELECT max(last_position) FROM placed)
        WHERE name = :duty AND EXISTS (SELECT FROM placed)
        RETURNING position
    )
    SELECT coalesce((SELECT position FROM moved), h.position) - h.position AS published
    FROM held h
""")

_LAST_TEXT = "SELECT position FROM duties WHERE name = 'relay'"
_LAST_OF_OWN_TEXT = """
    SELECT coalesce(max(last_position), 0) FROM feed
    WHERE project = :project AND project = :scope
"""
_LAST_POSITION = system(_LAST_TEXT)
_LAST_OF_OWN = tenant(_LAST_OF_OWN_TEXT)

_ENDS = system("""
    SELECT coalesce((SELECT position FROM duties WHERE name = 'relay'), 0) AS relay,
           coalesce(max(last_position), 0) AS last_position
    FROM feed
""")

# One row where no range is found, for the feed's last position. A project is shown that of its own
# last entry: the database's would tell how much others write.
_RANGES = """
    SELECT ({last_position}) AS feed_position, f.last_position,
           f.run, f.first_seq, f.last_seq, f.published_at
    FROM (SELECT 1) AS always LEFT JOIN LATERAL (
        SELECT * FROM feed WHERE last_position >= :from_position {of_project}
        ORDER BY last_position LIMIT :limit
    ) AS f ON true ORDER BY f.last_position
"""
_OF_PROJECT = "AND project = :project"
_RANGES_OF_OWN = tenant(
    _RANGES.format(
        last_position=_LAST_OF_OWN_TEXT, of_project=f"{_OF_PROJECT} AND project = :scope"
    )
)
_RANGES_OF_PROJECT = system(_RANGES.format(last_position=_LAST_TEXT, of_project=_OF_PROJECT))
_RANGES_OF_ALL = system(_RANGES.format(last_position=_LAST_TEXT, of_project=""))

# OFFSET keeps each range a look-up by key: with a thousand ranges the planner would read all events
# of a partition instead.
#
# Rows of archived events may be there or not.
#
# As in a page of events, large payloads stay in TOAST until the outer query lets them through.
_ENTRIES = f"""
    SELECT position, project, run_id, labels::text, published_at, {events.SELECTED} FROM (
        SELECT *, sum(payload_bytes) OVER (ORDER BY position) - payload_bytes AS bytes_before FROM (
            SELECT f.before + e.seq AS position, r.project, r.run_id, r.labels, f.published_at, e.*
            FROM unnest(
                :runs::bigint[], :first_seqs::bigint[], :last_seqs::bigint[], :befores::bigint[],
                :published_ats::timestamptz[]
            ) AS f(run, first_seq, last_seq, before, published_at)
            JOIN LATERAL (
                SELECT r.project, r.run_id, r.labels, h.archived_through
                FROM runs r JOIN run_heads h USING (run)
                WHERE r.run = f.run {{of_runs}} OFFSET 0
            ) AS r ON true
            JOIN LATERAL (
                SELECT * FROM events
                WHERE run = f.run
                    AND seq BETWEEN greatest(f.first_seq, r.archived_through + 1) AND f.last_seq
                    {{of_events}}
                OFFSET 0
            ) AS e ON true
            ORDER BY position LIMIT :limit
        ) AS page
    ) AS measured WHERE bytes_before < :max_bytes ORDER BY position
"""
_OF_OWN = "AND r.project = :scope "
_OF_LABELS = "AND r.labels @> :labels::text::jsonb"


@dataclass(frozen=True, slots=True)
class FeedRange:
    """One row of the feed."""

    last_position: int
    run: int
    first_seq: int
    last_seq: int
    published_at: datetime

    @property
    def before(self) -> int:
        """What the position of each event exceeds its seq by."""
        return self.last_position - self.last_seq


async def publish(conn: Connection, holder: str) -> int | None:
    """Move the oldest rows of the outbox to the feed's end, in one statement.

    The number of their events, 0 when the outbox is empty; None when the holder has lost the duty.
    """
    found = await conn.execute(
        _PUBLISH, {"duty": RELAY, "holder": holder, "limit": PUBLISHED_RANGES}
    )
    published: int | None = found.scalar_one_or_none()
    return published


async def ends(conn: Connection) -> tuple[int, int]:
    """Where the relay is, and the newest range ends; they are the same, whoever writes."""
    relay, last_position = (await conn.execute(_ENDS)).one()
    return relay, last_position


async def last_position(conn: Connection) -> int:
    """The newest entry's position, whosever it is."""
    position: int = (await conn.execute(_LAST_POSITION)).scalar_one()
    return position


async def last_position_of(conn: Connection, project: str) -> int:
    """The position of a project's newest entry; 0 if it has none."""
    position: int = (await conn.execute(_LAST_OF_OWN, {"project": project})).scalar_one()
    return position


async def ranges(
    conn: Connection, project: str, from_position: int, *, for_duty: bool
) -> tuple[list[FeedRange], int]:
    """The next ranges of a project, and the last position of its feed.

    A duty may have any project, and all of them for ""; it is told that of the whole feed.
    """
    values: dict[str, object] = {"from_position": from_position, "limit": PAGE_RANGES}
    if project or not for_duty:
        values["project"] = project
        reading = _RANGES_OF_PROJECT if for_duty else _RANGES_OF_OWN
    else:
        reading = _RANGES_OF_ALL
    rows = await conn.execute(reading, values)
    found = [_range(row) for row in rows if row["run"] is not None]
    return found, rows[0]["feed_position"]


async def entries(
    conn: Connection,
    of: Sequence[FeedRange],
    where: FeedFilter,
    *,
    limit: int,
    max_bytes: int,
    for_duty: bool,
) -> tuple[list[FeedEntry], bool]:
    """The selected entries of some ranges, and whether they were cut before the ranges' end.

    Those that are archived are left out.
    """
    of_events, values = events.conditions(EventFilter(types=where.types, tags=where.tags))
    of_runs = _OF_LABELS if where.labels else ""
    if where.labels:
        values["labels"] = json.dumps(dict(where.labels))
    if for_duty:
        reading = system(_ENTRIES.format(of_events=of_events, of_runs=of_runs))
    else:
        reading = tenant(_ENTRIES.format(of_events=of_events, of_runs=_OF_OWN + of_runs))
    rows = await conn.execute(
        reading,
        {
            "runs": [each.run for each in of],
            "first_seqs": [each.first_seq for each in of],
            "last_seqs": [each.last_seq for each in of],
            "befores": [each.before for each in of],
            "published_ats": [each.published_at for each in of],
            "limit": limit,
            "max_bytes": max_bytes,
            **values,
        },
    )
    is_cut = len(rows) == limit or events.payload_bytes(rows) >= max_bytes
    return [_entry(row) for row in rows], is_cut


def _range(row: Row) -> FeedRange:
    return FeedRange(
        row["last_position"],
        row["run"],
        row["first_seq"],
        row["last_seq"],
        row["published_at"],
    )


def _entry(row: Row) -> FeedEntry:
    position, project, run_id, labels, published_at, *event = row
    return FeedEntry(
        position=position,
        project=project,
        run_id=run_id,
        labels=json.loads(labels),
        published_at=published_at,
        recorded=events.recorded_event(event),
    )
