"""Statistics over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from runstore.v1 import statistics_pb2 as rpc
from runstore_storage.contract.statistics import StatisticsStore

from runstore_server.convert.search import awaited_of, wait_seconds
from runstore_server.convert.statistics import keys_of, query_of
from runstore_server.http.models.statistics import StatisticsAnswer
from runstore_server.http.parameters.checks import checked
from runstore_server.http.parameters.keys import Project
from runstore_server.http.parameters.queries import limit as limit_of
from runstore_server.http.parameters.statistics import (
    FIELDS,
    Awaited,
    GroupBy,
    LabelKey,
    PageToken,
    Selected,
    dimension_of,
)
from runstore_server.http.responses import JsonResponse
from runstore_server.http.routing import Api
from runstore_server.json.statistics import statistics_row_value
from runstore_server.pages import page_tokens
from runstore_server.pages.sizes import DEFAULT_LONG_PAGE
from runstore_server.validation.bounds import LONG_PAGE


class Statistics:
    def __init__(self, api: Api, statistics: StatisticsStore) -> None:
        self._statistics = statistics
        api.get(
            "/statistics",
            self.get_statistics,
            summary="Add up what events used",
            answer=StatisticsAnswer,
        )

    async def get_statistics(
        self,
        project: Project,
        where: Selected,
        awaited: Awaited,
        group_by: GroupBy = (),
        label_key: LabelKey = "",
        include_descendants: Annotated[
            bool, Query(description="Count all runs below those of run_id too.")
        ] = False,
        roll_up_to_root: Annotated[
            bool, Query(description="Count each run as its topmost ancestor.")
        ] = False,
        limit: Annotated[int, limit_of(LONG_PAGE, "The most rows to return.")] = DEFAULT_LONG_PAGE,
        page_token: PageToken = "",
    ) -> JsonResponse:
        """A page of groups that have events, in the order of their keys. Counts lag the feed by a
        moment; `min_position`, or `after_run_id` with `after_seq`, waits for them.
        """
        request = rpc.GetStatisticsRequest(
            project=project,
            filter=where,
            group_by=[dimension_of(each) for each in group_by],
            label_key=label_key,
            include_descendants=include_descendants,
            roll_up_to_root=roll_up_to_root,
            page_token=page_token,
        )
        request.MergeFrom(awaited)
        checked(request, FIELDS)
        return await self._page(project, request, limit)

    async def _page(
        self, project: str, request: rpc.GetStatisticsRequest, limit: int
    ) -> JsonResponse:
        query, token = query_of(request), request.page_token
        after = tuple(page_tokens.read(request, token)) if token else None
        if awaited := awaited_of(request):
            await self._statistics.wait_counted(awaited, wait_seconds(request, None))
        page = await self._statistics.get_statistics(project, query, limit=limit, after=after)
        return JsonResponse(
            {
                "rows": [statistics_row_value(keys_of(query, row), row) for row in page.rows],
                "limit": limit,
                "next_page_token": page_tokens.issue(request, page.next_after)
                if page.next_after
                else None,
                "counted_position": page.counted_position,
            }
        )
