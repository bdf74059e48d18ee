"""The search's contract: full text over the events that were published.

An event becomes searchable a moment after it was published, by whoever holds the duty `search`,
together with everything before it: what is searchable is the feed up to a position. Which text of a
payload is searched, `search/extracting.py` says; what a word is, `words.py`; what a query means,
`queries.py`.

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
    """Selects events: any of the runs, types and nodes, all of the tags; empty conditions hold."""

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
    """What to look for (see `search/queries.py`), among which events, in which order."""

    text: str
    where: SearchFilter = SearchFilter()
    order: SearchOrder = SearchOrder.RANK
    with_events: bool = False


@dataclass(frozen=True, slots=True)
class Snippet:
    """A part of an event's text, and (start, length) in characters of what matched in it."""

    text: str
    highlights: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class SearchHit:
    """An event that matched; `recorded` is None where events were not asked for."""

    run_id: str
    seq: int
    position: int
    rank: float
    recorded_at: datetime
    snippet: Snippet
    recorded: RecordedEvent | None


@dataclass(frozen=True, slots=True)
class SearchCursor:
    """Where a page ended: of what was searchable up to `as_of`, behind this rank and position."""

    as_of: int
    rank: float
    position: int


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Hits in order. `next_after` is None on the last page.

    `indexed_position` is what was searchable when the page was read; later pages answer as of the
    first one's.
    """

    hits: tuple[SearchHit, ...]
    next_after: SearchCursor | None
    indexed_position: int


class SearchStore(Protocol):
    """What can be found, and how it comes to be."""

    async def index_text(self, holder: str) -> int | None:
        """Make the next entries of the feed searchable; how far it got, 0 when there was none.

        None without the duty `search`. No payload makes it fail.
        """

    async def forget_text(self, holder: str) -> None:
        """Make nothing searchable, set the duty back to the beginning and take it."""

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
        """Return up to `limit` events of the project that match, from behind `after` on.

        By rank, it is the newest `RANKED_MATCHES` matches that are ranked and returned; of equal
        rank the newer comes first. By age, all of them are, the newest first. Pages that follow
        each other hold no event twice and miss none, whatever is published meanwhile.

        A run the project does not have matches nothing. A page with events ends early where their
        payloads pass the store's page size, but holds at least one event where one is left.
        """
