"""The call that adds up what events used."""

from __future__ import annotations

from collections.abc import Sequence

from runstore.arguments import only_known
from runstore.calls.call import RUNS, Call, Page, page_of
from runstore.v1 import statistics_pb2 as rpc
from runstore.values.statistics import Dimension, StatisticsFields, StatisticsRow
from runstore.wire.messages import message_of
from runstore.wire.search import event_place_message
from runstore.wire.statistics import dimension_messages, filter_message, row_value
from runstore.wire.times import seconds_message


def get_statistics(
    project: str,
    by: Sequence[Dimension],
    fields: StatisticsFields,
    page_size: int,
    page_token: str,
) -> Call[Page[StatisticsRow]]:
    only_known(fields, StatisticsFields)
    request = message_of(
        rpc.GetStatisticsRequest,
        project=project,
        filter=filter_message(fields),
        group_by=dimension_messages(by),
        label_key=fields.get("label_key", ""),
        include_descendants=fields.get("include_descendants", False),
        roll_up_to_root=fields.get("roll_up_to_root", False),
        page_size=page_size,
        page_token=page_token,
        min_position=fields.get("min_position", 0),
        after=event_place_message(fields.get("after")),
        wait=seconds_message(fields.get("wait_seconds"), "wait_seconds"),
    )
    return Call(RUNS, "GetStatistics", request, page_of("rows", row_value))
