"""The feed's contract: how committed events are published in one order, and read from there.

Positions are 1, 2, 3 ... over all projects, assigned by whoever holds the duty `relay`, one holder
at a time. Entries of a run have the order of its seqs. A position that is visible means that every
smaller one is.

A duty belongs to one holder for a few seconds at a time. A holder that does not renew it loses it
to the next that asks, and from then on each of its writes under that duty is refused by returning
None, so two holders never do the same work twice in the store.

The rules of `Store` hold here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from runstore_storage.contract.events import RecordedEvent
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.pages import Page
from runstore_storage.contract.signals import Watchable

# The names of all duties. They are stored, and statements in sql/ spell them out.
RELAY = "relay"
"""Publishes committed events."""
USAGE_COUNTS = "usage counts"
"""Adds what published events used to the usage counts."""
SEARCH = "search"
"""Makes published events searchable."""


def sink_duty(sink: str) -> str:
    """The duty that delivers published events to a sink."""
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
class FeedPoint:
    """How far a duty must have come before a reader is answered: a position, an event, or both."""

    position: int = 0
    run: RunKey | None = None
    seq: int = 0


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


EVERY_ENTRY = FeedFilter()
EVERY_PROJECT = ""


class FeedStore(Protocol):
    """The order in which events are published, and who has come how far in it."""

    @property
    def committed(self) -> Watchable:
        """Wakes when events may have been committed anywhere."""

    @property
    def published(self) -> Watchable:
        """Wakes when entries may have been published anywhere."""

    async def hold_duty(self, name: str, holder: str) -> int | None:
        """Take or renew a duty; its position, or None while another has it."""

    async def advance_duty(self, name: str, holder: str, position: int) -> int | None:
        """Note that a duty is done up to `position`; None when the holder has lost it."""

    async def release_duty(self, name: str, holder: str) -> None:
        """Give a duty up, so that another can take it at once."""

    async def list_duties(self) -> tuple[Duty, ...]:
        """Every duty ever taken, by name."""

    async def publish(self, holder: str) -> int | None:
        """Give the oldest committed events their positions; how many, None without the duty."""

    async def lag(self) -> Lag:
        """What was committed and not yet published."""

    async def drain(self) -> None:
        """Return when everything committed before the call is published, by whoever relays."""

    async def read_feed(
        self,
        project: str,
        from_position: int,
        *,
        limit: int,
        where: FeedFilter = EVERY_ENTRY,
        without_lost: bool = False,
    ) -> FeedPage:
        """Return up to `limit` selected entries from `from_position` (inclusive) on.

        `EVERY_PROJECT` reads all projects. A page ends early where its payloads pass the store's
        page size or the filter has looked at many entries; it may then be empty. `without_lost`
        returns an event whose payload is gone from where it was kept without it; else that raises.
        """

    async def commit_position(self, project: str, name: str, position: int) -> Consumer:
        """Move a consumer forward; it is made where there is none, and never moves back.

        A position beyond the feed's last raises `PositionAhead`.
        """

    async def reset_consumer(self, project: str, name: str, position: int) -> Consumer:
        """Move a consumer anywhere; otherwise as `commit_position`."""

    async def get_consumer(self, project: str, name: str) -> Consumer:
        """Return a consumer, or raise `ConsumerNotFound`."""

    async def list_consumers(
        self, project: str, *, limit: int, after: str | None
    ) -> Page[Consumer, str]:
        """Return up to `limit` consumers by name; those behind the name `after` if given."""

    async def count_usage(self, holder: str) -> int | None:
        """Add the next entries to the usage counts; how far it got, 0 when there was none.

        None without the duty `usage counts`.
        """

    async def forget_usage(self, holder: str) -> None:
        """Empty the usage counts, set their duty back to the beginning and take it."""

    async def bury(self, holder: str, letters: Sequence[DeadLetter]) -> int | None:
        """Keep what a sink gave up; letters that are there already stay. None without its duty."""

    async def list_dead_letters(
        self, sink: str, *, limit: int, after: int
    ) -> tuple[DeadLetter, ...]:
        """Return up to `limit` letters with ids above `after`, in order."""

    async def read_entry(self, position: int) -> FeedEntry | None:
        """Return one entry of any project, without its payload where that is lost."""

    async def remove_dead_letter(self, letter_id: int) -> bool:
        """Remove a letter that was delivered after all; False when it is gone already."""
