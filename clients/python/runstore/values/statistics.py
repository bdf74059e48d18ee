"""Statistics: their values, and the call they become; see `calls`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, TypedDict

from runstore.calls.runs import Call
from runstore.v1 import search_pb2
from runstore.v1 import statistics_pb2 as rpc
from runstore.values.runs import Usage
from runstore.wire import runs as wire
from runstore.wire.times import duration

Dimension = Literal["run", "node", "model", "tool", "type", "day"]


@dataclass(frozen=True, slots=True)
class StatisticsRow:
    """What was counted of one group. What it is not grouped by is empty, the day None.

    `errors` are events of a type whose last word is error or failed, `tool_calls` events that name
    a tool and do not tell how a call ended, `runs` those that have any of the events.
    """

    run_id: str
    node_id: str
    model: str
    tool: str
    type: str
    day: date | None
    label_value: str
    events: int
    errors: int
    tool_calls: int
    runs: int
    usage: Usage


class StatisticsFields(TypedDict, total=False):
    """What statistics may be asked for beside what tells them apart.

    Of which runs: any of `run_ids` (with all below them where `include_descendants`), of a plan,
    with all of the labels and tags. Of which events: any of the types, models, tools and nodes,
    recorded on the days (UTC) from `from_day` to `to_day`. `label_key` tells apart by a label of
    the run too, `roll_up_to_root` counts each run as its topmost ancestor. `after` is a
    (run_id, seq) that must be counted before the answer, `min_position` a position of the feed; it
    waits for them at most `wait_seconds`, at most 30 and within the client's timeout, and then
    raises `StatisticsBehind`.
    """

    run_ids: Sequence[str]
    include_descendants: bool
    plan_id: str
    labels: Mapping[str, str]
    tags: Sequence[str]
    types: Sequence[str]
    models: Sequence[str]
    tools: Sequence[str]
    node_ids: Sequence[str]
    from_day: date
    to_day: date
    label_key: str
    roll_up_to_root: bool
    after: tuple[str, int]
    min_position: int
    wait_seconds: float


def statistics(
    project: str,
    by: Sequence[Dimension],
    fields: StatisticsFields,
    page_size: int,
    page_token: str,
) -> Call[tuple[list[StatisticsRow], str]]:
    after, wait = fields.get("after"), fields.get("wait_seconds")
    request = rpc.GetStatisticsRequest(
        project=project,
        filter=_filter_message(fields),
        group_by=[_dimension(each) for each in by],
        label_key=fields.get("label_key", ""),
        include_descendants=fields.get("include_descendants", False),
        roll_up_to_root=fields.get("roll_up_to_root", False),
        page_size=page_size,
        page_token=page_token,
        min_position=fields.get("min_position", 0),
        after=search_pb2.EventPlace(run_id=after[0], seq=after[1]) if after else None,
        wait=None if wait is None else duration(timedelta(seconds=wait)),
    )
    return Call(
        "GetStatistics",
        request,
        lambda response: ([_row(each) for each in response.rows], response.next_page_token),
    )


def _dimension(name: str) -> rpc.StatisticsDimension.ValueType:
    return rpc.StatisticsDimension.Value(f"STATISTICS_DIMENSION_{name.upper()}")


def _filter_message(fields: StatisticsFields) -> rpc.StatisticsFilter:
    from_day, to_day = fields.get("from_day"), fields.get("to_day")
    return rpc.StatisticsFilter(
        run_ids=fields.get("run_ids", ()),
        plan_id=fields.get("plan_id", ""),
        labels=fields.get("labels", {}),
        tags=fields.get("tags", ()),
        types=fields.get("types", ()),
        models=fields.get("models", ()),
        tools=fields.get("tools", ()),
        node_ids=fields.get("node_ids", ()),
        from_day=from_day.isoformat() if from_day else "",
        to_day=to_day.isoformat() if to_day else "",
    )


def _row(message: rpc.StatisticsRow) -> StatisticsRow:
    return StatisticsRow(
        message.run_id,
        message.node_id,
        message.model,
        message.tool,
        message.type,
        date.fromisoformat(message.day) if message.day else None,
        message.label_value,
        message.events,
        message.errors,
        message.tool_calls,
        message.runs,
        wire.usage_value(message.usage),
    )
