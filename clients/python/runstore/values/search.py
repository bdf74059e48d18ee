"""Searching events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from runstore.values.events import Event


@dataclass(frozen=True, slots=True)
class SearchHit:
    """An event that matched.

    `highlights` are (start, length) of the matches, in characters of `snippet`. `event` is None
    unless events were requested.
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
        """The snippet with markers around the matches."""
        parts, done = [], 0
        for begin, length in self.highlights:
            parts += [self.snippet[done:begin], start, self.snippet[begin : begin + length], stop]
            done = begin + length
        return "".join([*parts, self.snippet[done:]])


class SearchFields(TypedDict, total=False):
    """The options of a search other than its query.

    Selects events of any of the runs, types and nodes, with all of the tags, of one model, of one
    tool, recorded in a range of time. `after` is the (run_id, seq) of an event, `min_position` a
    position of the feed: the search waits until they are searchable, for at most `wait_seconds`,
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
