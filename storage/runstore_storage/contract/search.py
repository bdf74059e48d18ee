"""Values of search that cross the store's boundary. All are frozen; times are UTC-aware."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from runstore_storage.contract.runs import RecordedEvent, RunKey

SEARCH = "search"
"""The duty whose holder makes published events searchable."""


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
    """What to look for, in the syntax of `search_queries`, among which events, in which order."""

    text: str
    where: SearchFilter = SearchFilter()
    order: SearchOrder = SearchOrder.RANK
    with_events: bool = False


@dataclass(frozen=True, slots=True)
class Awaited:
    """What must be searchable before a search answers: a position, an event, or both."""

    position: int = 0
    run: RunKey | None = None
    seq: int = 0


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
class SearchPlace:
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
    next_after: SearchPlace | None
    indexed_position: int
