"""search_rows: the searchable text of each published event, and all it is found by in one tsvector.

Beside the words of the text, with their places, a tsvector holds a lexeme without a place for each
value that searches filter by: `=project:acme/search`, `=type:tool.called`, `=b0:12` (the block of
positions, see `search_windows`). No word has a `=` in it. So one GIN index answers any filter
together with the words, and never reads what another project holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from runstore_storage.contract.events import RecordedEvent
from runstore_storage.contract.feed import FeedEntry
from runstore_storage.contract.search import SearchFilter
from runstore_storage.database.connection import Connection
from runstore_storage.search.extracting import text_of
from runstore_storage.search.queries import ParsedQuery, either, quoted
from runstore_storage.search.windows import Window, block_lexemes
from runstore_storage.search.words import places_of
from runstore_storage.sql import events
from runstore_storage.sql.columns import by_column

# What a tsvector holds: greater places, and more of a word, it has no room for.
MAX_PLACE = 16_383
MAX_PLACES_OF_WORD = 255
# A longer range of time is not looked up by its days.
MAX_DAYS = 100

_COLUMNS = (
    ("project", "text"),
    ("run_id", "text"),
    ("seq", "bigint"),
    ("position", "bigint"),
    ("recorded_at", "timestamptz"),
    ("text", "text"),
    ("tsv", "text"),
)
_INSERT = text(f"""
    INSERT INTO search_rows (run, seq, position, recorded_at, text, tsv)
    SELECT r.run, n.seq, n.position, n.recorded_at, n.text, CAST(n.tsv AS tsvector)
    FROM unnest({", ".join(f"CAST(:{name} AS {type_}[])" for name, type_ in _COLUMNS)})
        AS n({", ".join(name for name, _ in _COLUMNS)})
    JOIN runs r ON r.project = n.project AND r.run_id = n.run_id
    ORDER BY n.position
""")

# Only the rows that are kept are ranked. No index has the order, so the plan is always the same:
# the rows of the window by GIN, the newest of them by a bounded sort.
_MATCHES = """
    SELECT run, seq, position,
           ts_rank_cd(tsv, CAST(CAST(:words AS text) AS tsquery), 1)::double precision AS rank
    FROM (
        SELECT run, seq, position, tsv FROM search_rows
        WHERE {where} AND position < :below
        ORDER BY position DESC LIMIT :limit
    ) AS newest ORDER BY position DESC
"""

_TEXTS = """
    SELECT place, run_id, s.recorded_at, s.text {columns} FROM unnest(
        CAST(:runs AS bigint[]), CAST(:seqs AS bigint[])
    ) WITH ORDINALITY AS m(run, seq, place)
    JOIN search_rows s ON s.run = m.run AND s.seq = m.seq
    JOIN runs r ON r.run = m.run AND r.project = :project {join}
    ORDER BY place
"""
_TEXTS_ALONE = text(_TEXTS.format(columns="", join=""))
_SIZES = text("""
    SELECT e.payload_bytes FROM unnest(
        CAST(:runs AS bigint[]), CAST(:seqs AS bigint[])
    ) WITH ORDINALITY AS m(run, seq, place)
    LEFT JOIN events e ON e.run = m.run AND e.seq = m.seq ORDER BY place
""")
_TEXTS_WITH_EVENTS = text(
    _TEXTS.format(
        columns=", " + ", ".join(f"e.{each.strip()}" for each in events.SELECTED.split(",")),
        join="JOIN events e ON e.run = m.run AND e.seq = m.seq",
    )
)
_TEXT_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Row:
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
    """What rows have to match: all of the conditions, and times. `words` is what ranks them."""

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
    """What a hit shows; `place` (1, 2 ...) is that of its match among those asked for."""

    place: int
    run_id: str
    recorded_at: datetime
    text: str
    recorded: RecordedEvent | None


def matching(project: str, where: SearchFilter, query: ParsedQuery) -> Matching:
    """What the rows of a project that a filter selects and a query matches have in common."""
    filters = (
        quoted(f"=project:{project}"),
        either(f"=run:{each}" for each in where.run_ids),
        either(f"=type:{each}" for each in where.types),
        either(f"=node:{each}" for each in where.node_ids),
        *(quoted(f"=tag:{each}") for each in dict.fromkeys(where.tags)),
        quoted(f"=model:{where.model}") if where.model else "",
        quoted(f"=tool:{where.tool}") if where.tool else "",
        either(_days(where.recorded_from, where.recorded_before)),
    )
    conditions = (*query.conditions, *filter(None, filters))
    return Matching(conditions, query.tsquery, where.recorded_from, where.recorded_before)


async def insert(conn: Connection, rows: Sequence[Row]) -> None:
    """Insert rows; those of runs that are gone are left out."""
    values = [
        (row.project, row.run_id, row.seq, row.position, row.recorded_at, row.text, row.tsv)
        for row in rows
    ]
    await conn.execute(_INSERT, by_column(_COLUMNS, values))


async def forget(conn: Connection) -> None:
    """Remove every row, and what the index keeps of removed ones."""
    await conn.execute(text("TRUNCATE search_rows"))


async def matches(
    conn: Connection, of: Matching, window: Window, *, below: int, limit: int
) -> list[Match]:
    """The newest matches of a window below a position, newest first."""
    conditions = (*of.conditions, either(window.lexemes))
    values: dict[str, object] = {f"match_{n}": each for n, each in enumerate(conditions)}
    where = [f"tsv @@ CAST(CAST(:{name} AS text) AS tsquery)" for name in values]
    values |= {"words": of.words, "below": below, "limit": limit}
    if of.recorded_from is not None:
        where.append("recorded_at >= :recorded_from")
        values["recorded_from"] = of.recorded_from
    if of.recorded_before is not None:
        where.append("recorded_at < :recorded_before")
        values["recorded_before"] = of.recorded_before
    found = await conn.execute(text(_MATCHES.format(where=" AND ".join(where))), values)
    return [Match(*row) for row in found]


async def payload_sizes(conn: Connection, of: Sequence[Match]) -> list[int]:
    """The bytes of each match's payload."""
    found = await conn.execute(_SIZES, _keys(of))
    return [size or 0 for (size,) in found]


async def texts(
    conn: Connection, project: str, of: Sequence[Match], *, with_events: bool
) -> list[MatchText]:
    """What the hits of some matches show; those whose run is gone are left out."""
    found = await conn.execute(
        _TEXTS_WITH_EVENTS if with_events else _TEXTS_ALONE, {**_keys(of), "project": project}
    )
    return [_text(row, with_events=with_events) for row in found]


def _keys(of: Sequence[Match]) -> dict[str, object]:
    return {"runs": [each.run for each in of], "seqs": [each.seq for each in of]}


def _text(row: Sequence[Any], *, with_events: bool) -> MatchText:
    recorded = events.recorded_event(row[_TEXT_COLUMNS:]) if with_events else None
    return MatchText(row[0], row[1], row[2], row[3], recorded)


def row_of(entry: FeedEntry) -> Row:
    """The row of a feed entry."""
    recorded = entry.recorded
    searchable = text_of(recorded.event.payload)
    return Row(
        entry.project,
        entry.run_id,
        recorded.seq,
        entry.position,
        recorded.recorded_at,
        searchable,
        " ".join([*map(quoted, _filter_lexemes(entry)), *_word_lexemes(searchable)]),
    )


def _filter_lexemes(entry: FeedEntry) -> Iterator[str]:
    event = entry.recorded.event
    yield f"=project:{entry.project}"
    yield f"=run:{entry.run_id}"
    yield f"=type:{event.type}"
    yield f"=day:{entry.recorded.recorded_at.astimezone(UTC):%Y-%m-%d}"
    yield from block_lexemes(entry.position)
    for name, value in (("node", event.node_id), ("model", event.model), ("tool", event.tool)):
        if value:
            yield f"={name}:{value}"
    for tag in dict.fromkeys(event.tags):
        yield f"=tag:{tag}"


def _word_lexemes(searchable: str) -> Iterator[str]:
    """The words with their places, as far as a tsvector holds them."""
    places: dict[str, list[str]] = {}
    for key, place in places_of(searchable):
        of_word = places.setdefault(key, [])
        if place <= MAX_PLACE and len(of_word) < MAX_PLACES_OF_WORD:
            of_word.append(str(place))
    for key, of_word in places.items():
        yield f"{quoted(key)}:{','.join(of_word)}" if of_word else quoted(key)


def _days(first: datetime | None, before: datetime | None) -> list[str]:
    """The days of a range of time; none where it is open or long."""
    if first is None or before is None or not first < before:
        return []
    day, last = first.astimezone(UTC).date(), before.astimezone(UTC).date()
    if (last - day).days >= MAX_DAYS:
        return []
    return [f"=day:{day + timedelta(days=n)}" for n in range((last - day).days + 1)]
