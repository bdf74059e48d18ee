"""The call that searches events."""

from __future__ import annotations

from runstore.arguments import only_known
from runstore.calls.call import RUNS, Call, Page, page_of
from runstore.v1 import search_pb2 as rpc
from runstore.values.search import SearchFields, SearchHit
from runstore.wire.messages import message_of
from runstore.wire.search import event_place_message, filter_message, hit_value
from runstore.wire.times import seconds_message


def search_events(
    project: str, query: str, fields: SearchFields, page_size: int, page_token: str
) -> Call[Page[SearchHit]]:
    only_known(fields, SearchFields)
    request = message_of(
        rpc.SearchEventsRequest,
        project=project,
        query=query,
        filter=filter_message(fields),
        order=rpc.SEARCH_ORDER_NEWEST if fields.get("newest_first") else rpc.SEARCH_ORDER_RANK,
        page_size=page_size,
        page_token=page_token,
        with_events=fields.get("with_events", False),
        min_position=fields.get("min_position", 0),
        after=event_place_message(fields.get("after")),
        wait=seconds_message(fields.get("wait_seconds"), "wait_seconds"),
    )
    return Call(RUNS, "SearchEvents", request, page_of("hits", hit_value))
