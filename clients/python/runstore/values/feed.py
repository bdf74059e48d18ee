"""The feed: published events of all runs in one order, and the consumers that read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from runstore.values.events import Event


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A published event, and its position among the events of all runs."""

    position: int
    run_id: str
    event: Event
    published_at: datetime


@dataclass(frozen=True, slots=True)
class FeedMark:
    """Every selected entry up to `position` has been delivered, so `position` may be committed.

    `is_live` if the stream has just reached the end of the feed; otherwise this is a heartbeat.
    """

    position: int
    is_live: bool


FeedItem = FeedEntry | FeedMark


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Entries in order; the next page begins at `next_position`.

    If that is beyond `last_position`, the project's newest entry, the page reached the end.
    """

    entries: tuple[FeedEntry, ...]
    next_position: int
    last_position: int


@dataclass(frozen=True, slots=True)
class Consumer:
    """A named reader that has processed everything up to `position`.

    The project's newest entry is at `last_position`.
    """

    name: str
    position: int
    last_position: int
    created_at: datetime
    committed_at: datetime


class FeedFields(TypedDict, total=False):
    """Selects entries with any of the types, all of the tags, and all of the labels of the run."""

    types: Sequence[str]
    tags: Sequence[str]
    labels: Mapping[str, str]


class FollowFields(FeedFields, total=False):
    """The options of following the feed other than its start; as for a stream of events."""

    allow_gaps: bool
    heartbeat_seconds: float
    patience_seconds: float
