"""Searching: its values, and the call it becomes; see `calls`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict

from runstore.calls.runs import Call
from runstore.v1 import search_pb2 as rpc
from runstore.values.runs import Event
from runstore.wire import runs as wire
from runstore.wire.times import duration, time_of, timestamp


@dataclass(frozen=True, slots=True)
class SearchHit:
    """An event that matched.

    `highlights` are (start, length) of what matched, in characters of `snippet`. `event` is None
    where events were not asked for.
    """

    run_id: str
    seq: int
    position: int
    rank: float
    recorded_at: datetime
    snippet: str
    highlights: tuple[tuple[int, int], ...]
    event: Event | None

    def marked(self, start: str = "[[", stop: str = "]]") -> str:
        """The snippet with markers around what matched."""
        parts, done = [], 0
        for begin, length in self.highlights:
            parts += [self.snippet[done:begin], start, self.snippet[begin : begin + length], stop]
            done = begin + length
        return "".join([*parts, self.snippet[done:]])


class SearchFields(TypedDict, total=False):
    """What a search may be asked for beside its words.

    Among which events: any of the runs, types and nodes, all of the tags, of one model, of one
    tool, recorded in a range of time. `after` is a (run_id, seq) that must be searchable before the
    search answers, `min_position` a position of the feed; it waits for them at most `wait_seconds`,
    at most 30 and within the client's timeout, and then raises `SearchBehind`.
    """

    run_ids: Sequence[str]
    types: Sequence[str]
    node_ids: Sequence[str]
    tags: Sequence[str]
    model: str
    tool: str
    recorded_from: datetime
    recorded_before: datetime
    newest_first: bool
    with_events: bool
    after: tuple[str, int]
    min_position: int
    wait_seconds: float


def search(
    project: str, query: str, fields: SearchFields, page_size: int, page_token: str
) -> Call[tuple[list[SearchHit], str]]:
    after, wait = fields.get("after"), fields.get("wait_seconds")
    request = rpc.SearchEventsRequest(
        project=project,
        query=query,
        filter=_filter_message(fields),
        order=rpc.SEARCH_ORDER_NEWEST if fields.get("newest_first") else rpc.SEARCH_ORDER_RANK,
        page_size=page_size,
        page_token=page_token,
        with_events=fields.get("with_events", False),
        min_position=fields.get("min_position", 0),
        after=rpc.EventPlace(run_id=after[0], seq=after[1]) if after else None,
        wait=None if wait is None else duration(timedelta(seconds=wait)),
    )
    return Call(
        "SearchEvents",
        request,
        lambda response: ([_hit(each) for each in response.hits], response.next_page_token),
    )


def _filter_message(fields: SearchFields) -> rpc.SearchFilter:
    return rpc.SearchFilter(
        run_ids=fields.get("run_ids", ()),
        types=fields.get("types", ()),
        node_ids=fields.get("node_ids", ()),
        model=fields.get("model", ""),
        tool=fields.get("tool", ""),
        tags=fields.get("tags", ()),
        recorded_from_time=timestamp(fields.get("recorded_from")),
        recorded_before_time=timestamp(fields.get("recorded_before")),
    )


def _hit(message: rpc.SearchHit) -> SearchHit:
    return SearchHit(
        message.run_id,
        message.seq,
        message.position,
        message.rank,
        time_of(message.recorded_at),
        message.snippet,
        tuple((each.start, each.length) for each in message.highlights),
        wire.event_value(message.event) if message.HasField("event") else None,
    )
