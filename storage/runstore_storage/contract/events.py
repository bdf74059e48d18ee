"""Events: the facts of a run, and the methods that append and read them.

Times are UTC-aware and kept to the microsecond; hashes are 32 bytes of SHA-256.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from runstore_storage.contract.heads import NO_GUARD, Guard, Outcome, RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.signals import Watchable

# Types of events that only the store writes.
RUN_COMPLETED = "run.completed"
RUN_PAUSED = "run.paused"
RUN_REPLANNED = "run.replanned"
RUN_RESUMED = "run.resumed"
OWN_EVENT_TYPES = frozenset({RUN_COMPLETED, RUN_PAUSED, RUN_REPLANNED, RUN_RESUMED})


MAX_SUM = 2**63 - 1
# The longest time that the wire carries: ten thousand years.
MAX_DURATION_US = 315_576_000_000 * 1_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """What one event used, or several together; a sum that would exceed its maximum is that."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cost_micros: int = 0
    duration_us: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            min(self.input_tokens + other.input_tokens, MAX_SUM),
            min(self.output_tokens + other.output_tokens, MAX_SUM),
            min(self.cached_input_tokens + other.cached_input_tokens, MAX_SUM),
            min(self.cost_micros + other.cost_micros, MAX_SUM),
            min(self.duration_us + other.duration_us, MAX_DURATION_US),
        )


@dataclass(frozen=True, slots=True)
class Event:
    """A fact as its writer states it. The store fills in an empty `event_id`.

    `subjects` are the people, or whoever else, that it is about.
    """

    type: str
    event_id: str = ""
    payload: Payload | None = None
    node_id: str = ""
    actor: str = ""
    model: str = ""
    tool: str = ""
    tags: tuple[str, ...] = ()
    usage: Usage | None = None
    trace_parent: str = ""
    occurred_at: datetime | None = None
    subjects: tuple[str, ...] = ()


class Erased(NamedTuple):
    """What is known of what an event said, once that is erased.

    `sealed` is the hash of it, None of an event of version 1; `body` that of the whole event.
    """

    at: datetime
    sealed: bytes | None
    body: bytes


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """A fact with its place in the run; without a `salt` its hash is of version 1, or it was
    erased: then `event` has no payload, actor, tags or subjects.
    """

    seq: int
    recorded_at: datetime
    hash: bytes
    event: Event
    salt: bytes | None = None
    erased: Erased | None = None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Selects events: any of the types, any of the nodes, all of the tags; empty selects all."""

    types: tuple[str, ...] = ()
    node_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def matches(self, event: Event) -> bool:
        return (
            (not self.types or event.type in self.types)
            and (not self.node_ids or event.node_id in self.node_ids)
            and all(tag in event.tags for tag in self.tags)
        )


class Appended(NamedTuple):
    """The answer to an appended event: a tuple, as there is one for each."""

    event_id: str
    seq: int
    recorded_at: datetime
    hash: bytes
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class NewAppend:
    """Events to append to a run: all or none."""

    key: RunKey
    events: Sequence[Event]
    guard: Guard = NO_GUARD


AppendResult = tuple[Appended, ...]


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order of seq, and where the next page begins.

    The page has every selected event from its `from_seq` up to, not including, `next_from_seq`.
    `last_seq` and `outcome` are those of the run when the page was read; if `is_completed`, no
    event will follow.
    """

    events: Sequence[RecordedEvent]
    next_from_seq: int
    last_seq: int
    is_completed: bool
    outcome: Outcome

    @property
    def reaches_end(self) -> bool:
        return self.next_from_seq > self.last_seq


EVERY_EVENT = EventFilter()


class Tail(Watchable, Protocol):
    """The growing end of one run, shared by the streams of one process.

    A change committed by any process ends a wait within the store's poll interval.
    """

    async def read(
        self, from_seq: int, *, limit: int, where: EventFilter, read_archive: bool = False
    ) -> EventPage:
        """Return what `Store.read_events` returns, from memory if the tail has it.

        A run that does not exist yet reads as an empty page with `last_seq` 0.
        """

    def has(self, from_seq: int) -> bool:
        """Whether a page from there on is in memory, or read into it for all streams at once."""


class EventStore(Protocol):
    """Events of runs."""

    async def append_events(
        self, key: RunKey, events: Sequence[Event], guard: Guard = NO_GUARD
    ) -> AppendResult:
        """Append events with consecutive seqs, all or nothing; return a result for each, in order.

        `Overloaded` is raised if too many writes are waiting. Events whose caller is cancelled may
        be appended all the same.
        """

    async def append_many(self, appends: Sequence[NewAppend]) -> Sequence[AppendResult | Exception]:
        """Make appends as `append_events` does, those of one run in their order.

        Return for each, in order, what `append_events` would have returned or raised.
        """

    async def read_events(
        self,
        key: RunKey,
        from_seq: int,
        *,
        limit: int,
        where: EventFilter = EVERY_EVENT,
        read_archive: bool = False,
    ) -> EventPage:
        """Return up to `limit` selected events from `from_seq` (inclusive) on.

        A page ends early when its payloads reach the store's page size, but has at least one event
        if any is selected. Events that are archived raise `EventsArchived`, unless the archive may
        be read: then the page is what it was before. `ArchiveInvalid` says that it cannot be.
        """

    def open_tail(self, key: RunKey) -> AbstractAsyncContextManager[Tail]:
        """Share the run's tail for as long as the context lasts; the run need not exist yet."""
