"""Searches as messages, and back."""

from __future__ import annotations

from runstore.arguments import pair
from runstore.v1 import search_pb2 as rpc
from runstore.values.search import SearchFields, SearchHit
from runstore.wire.events import event_value
from runstore.wire.messages import message_at, message_of
from runstore.wire.times import time_message, time_value


def filter_message(fields: SearchFields) -> rpc.SearchFilter:
    return message_of(
        rpc.SearchFilter,
        run_ids=fields.get("run_ids", ()),
        types=fields.get("types", ()),
        node_ids=fields.get("node_ids", ()),
        model=fields.get("model", ""),
        tool=fields.get("tool", ""),
        tags=fields.get("tags", ()),
        recorded_from_time=time_message(fields.get("recorded_from"), "recorded_from"),
        recorded_before_time=time_message(fields.get("recorded_before"), "recorded_before"),
    )


def event_place_message(event: tuple[str, int] | None) -> rpc.EventPlace | None:
    """The message of an event's run_id and seq."""
    if event is None:
        return None
    run_id, seq = pair(event, "after")
    return message_at("after.", rpc.EventPlace, run_id=run_id, seq=seq)


def hit_value(message: rpc.SearchHit) -> SearchHit:
    return SearchHit(
        message.run_id,
        message.seq,
        message.position,
        message.rank,
        time_value(message.recorded_at),
        message.snippet,
        tuple((each.start, each.length) for each in message.highlights),
        event_value(message.event) if message.HasField("event") else None,
    )
