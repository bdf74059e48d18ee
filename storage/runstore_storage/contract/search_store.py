"""The search's contract: full text over the events that were published.

An event becomes searchable a moment after it was published, by whoever holds the duty `search`,
together with everything before it: what is searchable is the feed up to a position. Which text of a
payload is searched says `extracting`, what a word is `words`, what a query means `search_queries`.

The rules of `Store` hold here too.
"""

from __future__ import annotations

from typing import Protocol

from runstore_storage.contract.search import Awaited, SearchPage, SearchPlace, SearchQuery


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

    async def wait_indexed(self, awaited: Awaited, seconds: float) -> None:
        """Return when what is awaited is searchable; raise `SearchBehind` after `seconds`.

        A run that the project does not have raises `RunNotFound`. An event that is not there yet is
        waited for like one that is not searchable yet.
        """

    async def search_events(
        self, project: str, query: SearchQuery, *, limit: int, after: SearchPlace | None = None
    ) -> SearchPage:
        """Return up to `limit` events of the project that match, from behind `after` on.

        By rank, it is the newest `RANKED_MATCHES` matches that are ranked and returned; of equal
        rank the newer comes first. By age, all of them are, the newest first. Pages that follow
        each other hold no event twice and miss none, whatever is published meanwhile.

        A run the project does not have matches nothing. A page with events ends early where their
        payloads pass the store's page size, but holds at least one event where one is left.
        """
