"""search_rows: the text of each published event, and one tsvector of everything it can be found by.

`search/rows.py` decides what a row holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from runstore_storage.contract.events import RecordedEvent
from runstore_storage.contract.feed import SEARCH
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import system, tenant
from runstore_storage.sql import duties, events, scopes
from runstore_storage.sql.columns import by_column, new_rows

_COLUMNS = (
    ("project", "text"),
    ("run_id", "text"),
    ("seq", "bigint"),
    ("position", "bigint"),
    ("recorded_at", "timestamptz"),
    ("text", "text"),
    ("tsv", "text"),
)
_INSERT = system(f"""
    WITH {duties.HELD}, next AS (
        SELECT FROM held WHERE position = :done::bigint AND position < :reached::bigint
    ), stored AS (
        INSERT INTO search_rows (run, seq, position, recorded_at, text, tsv)
        SELECT r.run, new.seq, new.position, new.recorded_at, new.text, new.tsv::tsvector
        FROM {new_rows(_COLUMNS)}
        JOIN runs r ON r.project = new.project AND r.run_id = new.run_id
        WHERE EXISTS (SELECT FROM next) AND {scopes.IS_THERE} AND NOT EXISTS (
            SELECT FROM removals m
            WHERE m.run = r.run AND m.kind = {RemovalKind.SEARCH_TEXT:d} AND m.last_seq >= new.seq
        ) ORDER BY new.position
    ), moved AS (
        UPDATE duties SET position = :reached::bigint
        WHERE name = :duty AND EXISTS (SELECT FROM next)
    )
    SELECT coalesce((SELECT :reached::bigint - :done::bigint FROM next), 0) AS indexed FROM held
""")

# Rows carry their project as a lexeme (`search/rows.py`), here quoted as tsqueries have it.
_OF_SCOPE = r"""
    tsv @@ (
        '''=project:' || replace(replace(:scope::text, '\', '\\'), '''', '''''') || ''''
    )::tsquery
"""
# Only the rows that are kept are ranked. No index has the order, so the plan is always the same:
# the rows of the window by GIN, the newest of them by a bounded sort.
_MATCHES = """
    SELECT run, seq, position,
           ts_rank_cd(tsv, :words::text::tsquery, 1)::double precision AS rank
    FROM (
        SELECT run, seq, position, tsv FROM search_rows
        WHERE {of_scope} {where} AND position < :below
        ORDER BY position DESC LIMIT :limit
    ) AS newest ORDER BY position DESC
"""

# A match is known by its number among those asked for.
_TEXTS = tenant(f"""
    SELECT m.number, r.run_id, s.recorded_at, s.text
    FROM unnest(:runs::bigint[], :seqs::bigint[]) WITH ORDINALITY AS m(run, seq, number)
    JOIN search_rows s ON s.run = m.run AND s.seq = m.seq
    JOIN runs r ON r.run = m.run AND r.project = :project AND r.project = :scope
        AND {scopes.IS_THERE}
    ORDER BY m.number
""")
_TEXTS_WITH_EVENTS = tenant(f"""
    SELECT m.number, r.run_id, s.recorded_at AS shown_at, s.text, e.*
    FROM unnest(:runs::bigint[], :seqs::bigint[]) WITH ORDINALITY AS m(run, seq, number)
    JOIN search_rows s ON s.run = m.run AND s.seq = m.seq
    JOIN runs r ON r.run = m.run AND r.project = :project AND r.project = :scope
        AND {scopes.IS_THERE}
    LEFT JOIN (SELECT {events.SELECTED} FROM events measured) AS e
        ON e.run = m.run AND e.seq = m.seq
    ORDER BY m.number
""")
_SIZES = tenant(f"""
    SELECT coalesce(e.payload_bytes, 0)
    FROM unnest(:runs::bigint[], :seqs::bigint[]) WITH ORDINALITY AS m(run, seq, number)
    LEFT JOIN events e ON e.run = m.run AND e.seq = m.seq AND {scopes.is_own("m.run")}
    ORDER BY m.number
""")
_LOCK = system("LOCK TABLE search_rows IN ACCESS EXCLUSIVE MODE")
_FORGET = system("TRUNCATE search_rows")
_HAS_ARCHIVED = system("SELECT EXISTS (SELECT FROM run_heads WHERE archived_through > 0)")
# The text of archived events is not here, to be made searchable anew.
_FORGET_OTHERS = system("""
    DELETE FROM search_rows s WHERE NOT EXISTS (
        SELECT FROM run_heads h WHERE h.run = s.run AND s.seq <= h.archived_through
    )
""")


@dataclass(frozen=True, slots=True)
class SearchRow:
    """A row about to be inserted; its run is found by project and run_id."""

    project: str
    run_id: str
    seq: int
    position: int
    recorded_at: datetime
    text: str
    tsv: str


@dataclass(frozen=True, slots=True)
class Matching:
    """What rows have to match: all of the conditions (tsqueries), and times; `words` ranks them."""

    conditions: tuple[str, ...]
    words: str
    recorded_from: datetime | None
    recorded_before: datetime | None


@dataclass(frozen=True, slots=True)
class Match:
    """A row that matched."""

    run: int
    seq: int
    position: int
    rank: float


@dataclass(frozen=True, slots=True)
class MatchText:
    """What a hit shows; `number` (1, 2, ...) is that of its match among those asked for."""

    number: int
    run_id: str
    recorded_at: datetime
    text: str
    recorded: RecordedEvent | None


async def insert(
    conn: Connection, holder: str, rows: Sequence[SearchRow], *, done: int, reached: int
) -> int | None:
    """Insert the rows of the positions after `done` up to `reached`, in one statement.

    Rows of runs that are gone are left out. The number of positions, 0 when others have been
    indexed meanwhile; None when the holder has lost the duty.
    """
    values = [
        (row.project, row.run_id, row.seq, row.position, row.recorded_at, row.text, row.tsv)
        for row in rows
    ]
    of_duty = {"duty": SEARCH, "holder": holder, "done": done, "reached": reached}
    found = await conn.execute(_INSERT, {**of_duty, **by_column(_COLUMNS, values)})
    indexed: int | None = found.scalar_one_or_none()
    return indexed


async def lock(conn: Connection) -> None:
    """Keep all others from the rows until the transaction ends, before its duty is locked."""
    await conn.execute(_LOCK)


async def forget(conn: Connection) -> None:
    """Remove every row, and what the index keeps of removed ones; not those of archived events."""
    has_archived = (await conn.execute(_HAS_ARCHIVED)).scalar_one()
    await conn.execute(_FORGET_OTHERS if has_archived else _FORGET)


async def matches(conn: Connection, of: Matching, *, below: int, limit: int) -> list[Match]:
    """The newest matches below a position, newest first."""
    values: dict[str, object] = {f"match_{n}": each for n, each in enumerate(of.conditions)}
    where = [f"AND tsv @@ :{name}::text::tsquery" for name in values]
    values |= {"words": of.words, "below": below, "limit": limit}
    if of.recorded_from is not None:
        where.append("AND recorded_at >= :recorded_from")
        values["recorded_from"] = of.recorded_from
    if of.recorded_before is not None:
        where.append("AND recorded_at < :recorded_before")
        values["recorded_before"] = of.recorded_before
    matching = tenant(_MATCHES.format(of_scope=_OF_SCOPE, where=" ".join(where)))
    found = await conn.execute(matching, values)
    return [Match(**row) for row in found]


async def payload_sizes(conn: Connection, of: Sequence[Match]) -> list[int]:
    """The bytes of each match's payload."""
    found = await conn.execute(_SIZES, _keys(of))
    return found.scalars()


async def texts(
    conn: Connection, project: str, of: Sequence[Match], *, with_events: bool
) -> list[MatchText]:
    """What the hits of some matches show; those whose run is gone are left out."""
    values = {**_keys(of), "project": project}
    if with_events:
        return [_text_with_event(row) for row in await conn.execute(_TEXTS_WITH_EVENTS, values)]
    return [MatchText(**row, recorded=None) for row in await conn.execute(_TEXTS, values)]


def _keys(of: Sequence[Match]) -> dict[str, object]:
    return {"runs": [each.run for each in of], "seqs": [each.seq for each in of]}


def _text_with_event(row: Row) -> MatchText:
    number, run_id, recorded_at, text, run, *event = row
    # An archived event has no row.
    recorded = None if run is None else events.recorded_event((run, *event))
    return MatchText(number, run_id, recorded_at, text, recorded)
