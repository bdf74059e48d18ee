"""The contract of statistics: what events used, added up over any selection of them.

Events are counted a moment after they were published, by whoever holds the duty `usage counts`:
what is counted is the feed up to a position. Counts are exact as of that position.

The rules of `Store` hold here too.
"""

from __future__ import annotations

from typing import Protocol

from runstore_storage.contract.search import Awaited
from runstore_storage.contract.statistics import StatisticsPage, StatisticsQuery


class StatisticsStore(Protocol):
    """What was counted."""

    async def wait_counted(self, awaited: Awaited, seconds: float) -> None:
        """Return when what is awaited is counted; raise `StatisticsBehind` after `seconds`.

        A run that the project does not have raises `RunNotFound`. An event that is not there yet is
        waited for like one that is not counted yet.
        """

    async def get_statistics(
        self,
        project: str,
        query: StatisticsQuery,
        *,
        limit: int,
        after: tuple[str, ...] | None = None,
    ) -> StatisticsPage:
        """Return up to `limit` groups that have events, from behind the keys `after` on.

        They come in the order of their keys, compared byte by byte: RUN before all others, the
        others as `group_by` has them. Without `group_by` there is one group, of everything, also
        where there is nothing. No group comes twice, whatever is counted between two pages.

        A run the project does not have counts nothing. By RUN, a page costs what its runs do;
        otherwise each page adds up all that is selected.
        """
