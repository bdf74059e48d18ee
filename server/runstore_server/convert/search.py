"""Searches and their hits."""

from __future__ import annotations

from typing import Literal, Protocol

from google.protobuf import duration_pb2
from runstore.v1 import search_pb2
from runstore_storage.contract.feed import FeedPoint
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.search import (
    SearchFilter,
    SearchHit,
    SearchOrder,
    SearchQuery,
)

from runstore_server.convert.events import event_message
from runstore_server.convert.runs import project_of
from runstore_server.convert.times import micros_of, time_of, timestamp

DEFAULT_WAIT_SECONDS = 10.0
# What a wait leaves of the call's deadline, so that the answer arrives in time.
ANSWER_SECONDS = 0.25


class Awaiting(Protocol):
    """A request that may wait until the feed is processed up to a point."""

    project: str
    min_position: int

    @property
    def after(self) -> search_pb2.EventPlace: ...

    @property
    def wait(self) -> duration_pb2.Duration: ...

    def HasField(self, field_name: Literal["after", "wait"], /) -> bool: ...  # noqa: N802 - protobuf's name


def query_of(request: search_pb2.SearchEventsRequest) -> SearchQuery:
    return SearchQuery(
        text=request.query,
        where=_filter_of(request.filter),
        order=SearchOrder(request.order) if request.order else SearchOrder.RANK,
        with_events=request.with_events,
    )


def awaited_of(request: Awaiting) -> FeedPoint | None:
    """What the request waits for; None if it does not wait."""
    if not request.HasField("after"):
        return FeedPoint(request.min_position) if request.min_position else None
    key = RunKey(project_of(request.project), request.after.run_id)
    return FeedPoint(request.min_position, key, request.after.seq)


def wait_seconds(request: Awaiting, left: float | None) -> float:
    """How long the request may wait: as long as it asks, but not beyond its call's deadline."""
    asked = micros_of(request.wait) / 1e6 if request.HasField("wait") else DEFAULT_WAIT_SECONDS
    return asked if left is None else max(min(asked, left - ANSWER_SECONDS), 0.0)


def hit_message(hit: SearchHit) -> search_pb2.SearchHit:
    return search_pb2.SearchHit(
        run_id=hit.run_id,
        seq=hit.seq,
        position=hit.position,
        rank=hit.rank,
        recorded_at=timestamp(hit.recorded_at),
        snippet=hit.snippet.text,
        highlights=[
            search_pb2.SearchHighlight(start=start, length=length)
            for start, length in hit.snippet.highlights
        ],
        event=event_message(hit.recorded) if hit.recorded else None,
    )


def _filter_of(message: search_pb2.SearchFilter) -> SearchFilter:
    return SearchFilter(
        run_ids=tuple(message.run_ids),
        types=tuple(message.types),
        node_ids=tuple(message.node_ids),
        tags=tuple(message.tags),
        model=message.model,
        tool=message.tool,
        recorded_from=time_of(message.recorded_from_time)
        if message.HasField("recorded_from_time")
        else None,
        recorded_before=time_of(message.recorded_before_time)
        if message.HasField("recorded_before_time")
        else None,
    )
