"""Statistics over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Depends, Query
from google.protobuf.duration_pb2 import Duration
from runstore.v1 import search_pb2
from runstore.v1 import statistics_pb2 as rpc
from runstore_storage.contract.statistics import StatisticsStore

from runstore_server.convert.search import awaited_of, wait_seconds
from runstore_server.convert.statistics import keys_of, query_of
from runstore_server.http.models.runs import StatisticsAnswer
from runstore_server.http.parameters.runs import Project, checked, labels_of
from runstore_server.http.responses import JsonResponse
from runstore_server.http.routing import Api
from runstore_server.json.statistics import statistics_row_value
from runstore_server.pages import page_tokens
from runstore_server.pages.sizes import DEFAULT_LONG_PAGE
from runstore_server.validation.bounds import ID, LONG_PAGE, MAX_INT64, TAGS, WAIT
from runstore_server.validation.requests import refuse
from runstore_server.validation.statistics import DAY, DIMENSIONS, STATISTICS_TOKEN

FIELDS = {
    "filter.run_ids": "run_id",
    "filter.plan_id": "plan_id",
    "filter.labels": "label",
    "filter.tags": "tag",
    "filter.types": "type",
    "filter.models": "model",
    "filter.tools": "tool",
    "filter.node_ids": "node_id",
    "filter.from_day": "from_day",
    "filter.to_day": "to_day",
    "after.run_id": "after_run_id",
    "after.seq": "after_seq",
}
_Many = Annotated[tuple[str, ...], Query(max_length=TAGS.high, description="Any of these.")]
_All = Annotated[tuple[str, ...], Query(max_length=TAGS.high, description="Of the run; all.")]
_Day = Annotated[str, Query(max_length=DAY.high, description="YYYY-MM-DD in UTC, inclusive.")]


async def statistics_filter(
    run_id: _Many = (),
    plan_id: Annotated[str, Query(max_length=ID.high)] = "",
    label: Annotated[
        tuple[str, ...], Query(max_length=TAGS.high, description="Runs with all: `key=value`.")
    ] = (),
    tag: _All = (),
    type_: Annotated[
        tuple[str, ...], Query(alias="type", max_length=TAGS.high, description="Any of these.")
    ] = (),
    model: _Many = (),
    tool: _Many = (),
    node_id: _Many = (),
    from_day: _Day = "",
    to_day: _Day = "",
) -> rpc.StatisticsFilter:
    """Which runs and events are counted."""
    return rpc.StatisticsFilter(
        run_ids=run_id,
        plan_id=plan_id,
        labels=labels_of(label),
        tags=tag,
        types=type_,
        models=model,
        tools=tool,
        node_ids=node_id,
        from_day=from_day,
        to_day=to_day,
    )


async def waiting(
    min_position: Annotated[
        int, Query(ge=0, le=MAX_INT64, description="Answer when the feed is counted up to it.")
    ] = 0,
    after_run_id: Annotated[
        str, Query(max_length=ID.high, description="Answer when this event is counted.")
    ] = "",
    after_seq: Annotated[
        int, Query(ge=0, le=MAX_INT64, description="The event's seq; with after_run_id.")
    ] = 0,
    wait: Annotated[
        float | None, Query(ge=WAIT.low, le=WAIT.high, description="Seconds; else 10.")
    ] = None,
) -> rpc.GetStatisticsRequest:
    """What must be counted before the answer."""
    if after_seq and not after_run_id:
        refuse("after_seq", "needs after_run_id")
    duration = None if wait is None else Duration()
    if duration is not None and wait is not None:
        duration.FromTimedelta(timedelta(seconds=wait))
    return rpc.GetStatisticsRequest(
        min_position=min_position,
        after=search_pb2.EventPlace(run_id=after_run_id, seq=after_seq) if after_run_id else None,
        wait=duration,
    )


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
        where: Annotated[rpc.StatisticsFilter, Depends(statistics_filter)],
        awaited: Annotated[rpc.GetStatisticsRequest, Depends(waiting)],
        group_by: Annotated[
            tuple[Literal["run", "node", "model", "tool", "type", "day"], ...],
            Query(
                max_length=DIMENSIONS.high,
                description="What to tell apart, with label_key at most 3.",
            ),
        ] = (),
        label_key: Annotated[
            str, Query(max_length=ID.high, description="Tell apart by this label of the run.")
        ] = "",
        include_descendants: Annotated[
            bool, Query(description="Count the runs below those of run_id too.")
        ] = False,
        roll_up_to_root: Annotated[
            bool, Query(description="Count each run as its topmost ancestor.")
        ] = False,
        limit: Annotated[
            int, Query(ge=1, le=LONG_PAGE.high, description="Rows on a page.")
        ] = DEFAULT_LONG_PAGE,
        page_token: Annotated[
            str,
            Query(
                max_length=STATISTICS_TOKEN.high,
                description="`next_page_token` of the page before.",
            ),
        ] = "",
    ) -> JsonResponse:
        """Groups with events in the order of what tells them apart. Counts lag the feed a moment;
        `min_position` and `after_run_id` with `after_seq` wait for it.
        """
        request = rpc.GetStatisticsRequest(
            project=project,
            filter=where,
            group_by=[rpc.StatisticsDimension.Value(_NAME + each.upper()) for each in group_by],
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


_NAME = "STATISTICS_DIMENSION_"
