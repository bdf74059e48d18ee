"""The RPC that sums up what events used."""

from __future__ import annotations

from typing import Any

from runstore.v1 import statistics_pb2 as rpc
from runstore_storage.contract.statistics import StatisticsStore

from runstore_server.convert.runs import project_of
from runstore_server.convert.search import awaited_of, wait_seconds
from runstore_server.convert.statistics import query_of, row_message
from runstore_server.pages import page_tokens
from runstore_server.pages.sizes import DEFAULT_LONG_PAGE
from runstore_server.validation.requests import admit


class Statistics:
    def __init__(self, statistics: StatisticsStore) -> None:
        self._statistics = statistics

    async def GetStatistics(
        self, request: rpc.GetStatisticsRequest, context: Any
    ) -> rpc.GetStatisticsResponse:
        await admit(request)
        query = query_of(request)
        after = tuple(page_tokens.read(request, request.page_token)) if request.page_token else None
        if awaited := awaited_of(request):
            seconds = wait_seconds(request, context.time_remaining())
            await self._statistics.wait_counted(awaited, seconds)
        page = await self._statistics.get_statistics(
            project_of(request.project),
            query,
            limit=request.page_size or DEFAULT_LONG_PAGE,
            after=after,
        )
        return rpc.GetStatisticsResponse(
            rows=[row_message(query, row) for row in page.rows],
            next_page_token=page_tokens.issue(request, page.next_after) if page.next_after else "",
            counted_position=page.counted_position,
        )
