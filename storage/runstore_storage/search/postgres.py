"""The search on Postgres. The contract is `SearchStore`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runstore_storage.contract.errors import SearchBehind
from runstore_storage.contract.feed import EVERY_PROJECT, SEARCH, FeedPoint, FeedStore
from runstore_storage.contract.pages import PAGE_BYTES, within
from runstore_storage.contract.search import (
    SearchCursor,
    SearchHit,
    SearchOrder,
    SearchPage,
    SearchQuery,
)
from runstore_storage.contract.signals import Signal
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.database.failures import translated
from runstore_storage.database.threads import run_in_thread_if_large
from runstore_storage.feed.waiting import wait_until_reached
from runstore_storage.search.indexing import LARGE_CHARACTERS, rows_of
from runstore_storage.search.queries import Term, either, parse
from runstore_storage.search.rows import matching
from runstore_storage.search.snippets import snippet_of
from runstore_storage.search.windows import next_window
from runstore_storage.sql import duties, search_rows
from runstore_storage.sql.search_rows import Match, Matching, MatchText

# How many entries one transaction makes searchable.
INDEXED_ENTRIES = 1000
# Only this many of the newest matches are ranked, so that ranking costs the same in any store.
RANKED_MATCHES = 1000


class PostgresSearch:
    """Shares the connections and the feed of the store that makes it; wakes `wanted`."""

    def __init__(self, engine: Database, feed: FeedStore, wanted: Signal) -> None:
        self._engine = engine
        self._feed = feed
        self._wanted = wanted
        self._indexed = Signal()

    async def index_text(self, holder: str) -> int | None:
        async with reading(self._engine) as conn:
            position = await duties.position_of(conn, SEARCH)
        page = await self._feed.read_for_duty(EVERY_PROJECT, position + 1, limit=INDEXED_ENTRIES)
        reached = page.next_position - 1  # may be behind the last entry: deleted runs have none
        rows = await rows_of(page.entries)
        async with translated(), self._engine.connect() as conn:
            indexed = await search_rows.insert(conn, holder, rows, done=position, reached=reached)
        if indexed:
            self._indexed.wake()
        return indexed

    async def forget_text(self, holder: str) -> None:
        async with writing(self._engine) as conn:
            # Indexing locks the table first, too.
            await search_rows.lock(conn)
            # From here on no run is archived that is not known to be.
            await duties.restart(conn, SEARCH, holder)
            await search_rows.forget(conn)

    async def indexed_position(self) -> int:
        async with reading(self._engine) as conn:
            return await duties.position_of(conn, SEARCH)

    async def wait_indexed(self, point: FeedPoint, seconds: float) -> None:
        await wait_until_reached(
            self._engine,
            SEARCH,
            point,
            seconds,
            advanced=self._indexed,
            wanted=self._wanted,
            behind=SearchBehind,
        )

    async def search_events(
        self, project: str, query: SearchQuery, *, limit: int, after: SearchCursor | None = None
    ) -> SearchPage:
        parsed = parse(query.text)
        if parsed.problem:
            return SearchPage((), None, await self.indexed_position())
        wanted = matching(project, query.where, parsed)
        async with reading(self._engine) as conn:
            indexed = await duties.position_of(conn, SEARCH)
            as_of = min(after.as_of, indexed) if after else indexed
            found = await _in_order(conn, wanted, query.order, as_of, after, limit + 1)
            kept: Sequence[Match] = found[:limit]
            if query.with_events:
                kept = within(kept, await search_rows.payload_sizes(conn, kept), PAGE_BYTES)
            texts = await search_rows.texts(conn, project, kept, with_events=query.with_events)
        size = sum(len(each.text) for each in texts)
        hits = await run_in_thread_if_large(
            size, _hits, kept, texts, parsed.terms, most=LARGE_CHARACTERS
        )
        next_after = None
        if len(found) > len(kept):
            next_after = SearchCursor(as_of, kept[-1].rank, kept[-1].position)
        return SearchPage(hits, next_after, indexed)


async def _in_order(
    conn: Connection,
    of: Matching,
    order: SearchOrder,
    as_of: int,
    after: SearchCursor | None,
    limit: int,
) -> list[Match]:
    """Up to `limit` matches behind the cursor, if there is one."""
    if order is SearchOrder.NEWEST:
        return await _newest(conn, of, below=after.position if after else as_of + 1, wanted=limit)
    ranked = await _newest(conn, of, below=as_of + 1, wanted=RANKED_MATCHES)
    ranked.sort(key=_by_rank, reverse=True)
    if after:
        ranked = [match for match in ranked if _by_rank(match) < (after.rank, after.position)]
    return ranked[:limit]


async def _newest(conn: Connection, of: Matching, *, below: int, wanted: int) -> list[Match]:
    """The newest matches below a position, searched for window by window."""
    found: list[Match] = []
    start = below
    while start > 1 and len(found) < wanted:
        left = wanted - len(found)
        window = next_window(start, scanned=below - start, found=len(found), wanted=left)
        inside = replace(of, conditions=(*of.conditions, either(window.lexemes)))
        found += await search_rows.matches(conn, inside, below=start, limit=left)
        start = window.start
    return found


def _by_rank(match: Match) -> tuple[float, int]:
    return match.rank, match.position


def _hits(
    found: Sequence[Match], texts: Sequence[MatchText], terms: Sequence[Term]
) -> tuple[SearchHit, ...]:
    return tuple(
        SearchHit(
            each.run_id,
            match.seq,
            match.position,
            match.rank,
            each.recorded_at,
            snippet_of(each.text, terms),
            each.recorded,
        )
        for each in texts
        for match in (found[each.number - 1],)
    )
