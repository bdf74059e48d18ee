"""Values of the feed that cross the store's boundary. All are frozen; times are UTC-aware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from runstore_storage.contract.runs import RecordedEvent

# Duties of the store's own; the others belong to sinks.
RELAY = "relay"
USAGE_COUNTS = "usage counts"


def sink_duty(sink: str) -> str:
    """The duty of delivering to a sink."""
    return f"sink {sink}"


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A published event with its place in the feed; `labels` are its run's.

    Where `is_payload_lost` the event comes without the payload it had.
    """

    position: int
    project: str
    run_id: str
    labels: Mapping[str, str]
    published_at: datetime
    recorded: RecordedEvent
    is_payload_lost: bool = False


@dataclass(frozen=True, slots=True)
class FeedFilter:
    """Selects entries: any of the types, all of the tags, all of the run's labels; empty: all."""

    types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Entries in order of position, and how far reading got.

    Every selected entry below `next_position` that is not below the page's `from_position` is on
    it. `last_position` is the feed's when the page was read.
    """

    entries: tuple[FeedEntry, ...]
    next_position: int
    last_position: int

    @property
    def reaches_end(self) -> bool:
        return self.next_position > self.last_position


@dataclass(frozen=True, slots=True)
class Consumer:
    """A named reader of a project's feed; it is done with all up to `position`."""

    name: str
    position: int
    last_position: int
    created_at: datetime
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class Duty:
    """Work on the feed that one process at a time does; it is done up to `position`.

    An empty `holder` means that nobody has it.
    """

    name: str
    position: int
    holder: str


@dataclass(frozen=True, slots=True)
class Lag:
    """What was committed and not yet published: events, and the age of the oldest in seconds."""

    events: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that a sink gave up; `id` is 0 before it is stored."""

    sink: str
    position: int
    attempts: int
    error: str
    failed_at: datetime | None = None
    id: int = 0
