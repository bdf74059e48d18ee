"""Search: full text over published events.

The holder of the duty `search` makes events searchable a moment after they are published, in the
order of the feed: everything up to a position is searchable. `search/extracting.py` defines which
text of a payload is searched, `search/words.py` what a word is, `search/queries.py` what a query
means.

The rules of `Store` hold here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from runstore_storage.contract.events import RecordedEvent
from runstore_storage.contract.feed import FeedPoint


class SearchOrder(IntEnum):
    RANK = 1
    NEWEST = 2


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """Selects events: any of the runs, types and nodes, all of the tags.

    Conditions that are empty select everything.
    """

    run_ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    node_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    model: str = ""
    tool: str = ""
    recorded_from: datetime | None = None
    recorded_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to search for (see `search/queries.py`), among which events, and in which order."""

    text: str
    where: SearchFilter = SearchFilter()
    order: SearchOrder = SearchOrder.RANK
    with_events: bool = False


@dataclass(frozen=True, slots=True)
class Snippet:
    """A part of an event's text, and the (start, length) in characters of each match in it."""

    text: str
    highlights: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class SearchHit:
    """An event that matched; `recorded` is None unless the query is `with_events`."""

    run_id: str
    seq: int
    position: int
    rank: float
    recorded_at: datetime
    snippet: Snippet
    recorded: RecordedEvent | None


@dataclass(frozen=True, slots=True)
class SearchCursor:
    """Where a page of hits ended, among what was searchable up to `as_of`."""

    as_of: int
    rank: float
    position: int


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Hits in order; `next_after` is None on the last page.

    Everything up to `indexed_position` was searchable when the page was read. Later pages search
    what the first one searched.
    """

    hits: tuple[SearchHit, ...]
    next_after: SearchCursor | None
    indexed_position: int


class SearchStore(Protocol):
    """Search, and the work that makes events searchable."""

    async def index_text(self, holder: str) -> int | None:
        """Make the next entries of the feed searchable; return how many positions that were.

        None is returned without the duty `search`. No payload makes it fail.
        """

    async def forget_text(self, holder: str) -> None:
        """Empty the index, take its duty and set it back to the beginning."""

    async def indexed_position(self) -> int:
        """Return the position up to which the feed is searchable."""

    async def wait_indexed(self, point: FeedPoint, seconds: float) -> None:
        """Return when the feed is searchable up to `point`; raise `SearchBehind` after `seconds`.

        A run that the project does not have raises `RunNotFound`. An event that has not been
        appended yet is waited for like one that is not searchable yet.
        """

    async def search_events(
        self, project: str, query: SearchQuery, *, limit: int, after: SearchCursor | None = None
    ) -> SearchPage:
        """Return up to `limit` matching events of the project.

        By rank, the newest `RANKED_MATCHES` matches are ranked and returned; of equal rank the
        newer comes first. By age, all matches are returned, the newest first. Successive pages
        repeat no event and miss none, whatever is published meanwhile.

        A run that the project does not have matches nothing. A page with events ends early when
        their payloads pass the store's page size, but has at least one event if any is left.
        """
