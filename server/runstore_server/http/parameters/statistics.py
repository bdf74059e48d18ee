"""Which runs and events are counted, how they are grouped, and what to wait for."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Depends
from google.protobuf.duration_pb2 import Duration
from runstore.v1 import search_pb2
from runstore.v1 import statistics_pb2 as rpc

from runstore_server.convert.search import DEFAULT_WAIT_SECONDS
from runstore_server.http.parameters.checks import labels_of
from runstore_server.http.parameters.queries import Many, integer, seconds, text, texts
from runstore_server.validation.bounds import ID, SEQ, TAGS, WAIT
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
_PREFIX = "STATISTICS_DIMENSION_"
_Any = Annotated[Many, texts(TAGS, "Any of these.")]
_Day = Annotated[str, text(DAY, "YYYY-MM-DD in UTC, inclusive.")]

Dimension = Literal["run", "node", "model", "tool", "type", "day"]
GroupBy = Annotated[
    tuple[Dimension, ...],
    texts(DIMENSIONS, f"What to group by: at most {DIMENSIONS.high}, label_key included."),
]
LabelKey = Annotated[str, text(ID, "Group by the value of this label of the run.")]
PageToken = Annotated[str, text(STATISTICS_TOKEN, "`next_page_token` of the page before.")]


async def statistics_filter(
    run_id: _Any = (),
    plan_id: Annotated[str, text(ID)] = "",
    label: Annotated[Many, texts(TAGS, "All of these labels of the run, as `key=value`.")] = (),
    tag: Annotated[Many, texts(TAGS, "All of these tags of the run.")] = (),
    type_: Annotated[Many, texts(TAGS, "Any of these.", alias="type")] = (),
    model: _Any = (),
    tool: _Any = (),
    node_id: _Any = (),
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


async def awaited_counts(
    min_position: Annotated[
        int, integer(SEQ, "Answer once the feed is counted up to this position.")
    ] = 0,
    after_run_id: Annotated[str, text(ID, "Answer once an event of this run is counted.")] = "",
    after_seq: Annotated[int, integer(SEQ, "That event's seq; needs after_run_id.")] = 0,
    wait: Annotated[
        float | None, seconds(WAIT, f"Seconds to wait; {DEFAULT_WAIT_SECONDS:g} if not given.")
    ] = None,
) -> rpc.GetStatisticsRequest:
    """What must be counted before the answer."""
    if after_seq and not after_run_id:
        refuse("after_seq", "needs after_run_id")
    return rpc.GetStatisticsRequest(
        min_position=min_position,
        after=search_pb2.EventPlace(run_id=after_run_id, seq=after_seq) if after_run_id else None,
        wait=None if wait is None else _duration(wait),
    )


def dimension_of(name: Dimension) -> rpc.StatisticsDimension.ValueType:
    return rpc.StatisticsDimension.Value(_PREFIX + name.upper())


Selected = Annotated[rpc.StatisticsFilter, Depends(statistics_filter)]
Awaited = Annotated[rpc.GetStatisticsRequest, Depends(awaited_counts)]


def _duration(wait: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=wait))
    return duration
