"""Statistics on Postgres. The contract is `StatisticsStore`."""

from __future__ import annotations

from runstore_storage.contract.errors import StatisticsBehind
from runstore_storage.contract.feed import USAGE_COUNTS, FeedPoint
from runstore_storage.contract.signals import Signal
from runstore_storage.contract.statistics import StatisticsPage, StatisticsQuery
from runstore_storage.database.engine import Database, adding_up
from runstore_storage.feed.waiting import wait_until_reached
from runstore_storage.sql import duties, statistics


class PostgresStatistics:
    """Shares the connections of the store that makes it.

    `counted` wakes when counts moved, `wanted` is woken when a caller waits for that.
    """

    def __init__(self, engine: Database, counted: Signal, wanted: Signal) -> None:
        self._engine = engine
        self._counted = counted
        self._wanted = wanted

    async def wait_counted(self, point: FeedPoint, seconds: float) -> None:
        await wait_until_reached(
            self._engine,
            USAGE_COUNTS,
            point,
            seconds,
            advanced=self._counted,
            wanted=self._wanted,
            behind=StatisticsBehind,
        )

    async def get_statistics(
        self,
        project: str,
        query: StatisticsQuery,
        *,
        limit: int,
        after: tuple[str, ...] | None = None,
    ) -> StatisticsPage:
        async with adding_up(self._engine) as conn:
            counted = await duties.position_of(conn, USAGE_COUNTS)
            found = await statistics.page(conn, project, query, limit=limit + 1, after=after)
        kept = tuple(found[:limit])
        return StatisticsPage(kept, kept[-1].keys if len(found) > limit else None, counted)
