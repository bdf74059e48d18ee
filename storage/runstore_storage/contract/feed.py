"""The feed: committed events of all projects, published in one order.

Positions are 1, 2, 3 ... over all projects, assigned by the holder of the duty `relay`. The entries
of a run are in the order of its seqs. Once a position is visible, all smaller ones are.

A duty is held by one process at a time, for a few seconds unless it is renewed. After that the next
process that asks gets it, and the former holder's writes under it are refused: the method returns
None. So the same work is never recorded twice. Work under a duty may be cancelled at any time; the
next holder does again what was not committed.

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

# The names of all duties. They are stored, and spelled out in statements of sql/.
RELAY = "relay"
"""Publishes committed events."""
USAGE_COUNTS = "usage counts"
"""Adds what published events used to the usage counts."""
STORED_BYTES = "stored bytes"
"""Adds what is stored to the sum of each project."""
SEARCH = "search"
"""Makes published events searchable."""
REMOVALS = "removals"
"""Removes what was decided to go."""
RETENTION = "retention"
"""Decides what goes by policies."""
BESIDE_THE_FEED = frozenset({REMOVALS, RETENTION})
"""The duties that follow something else; they have no position."""


def sink_duty(sink: str) -> str:
    """The duty that delivers published events to a sink."""
    return f"sink {sink}"


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A published event and its position; `labels` are those of its run.

    If `is_payload_lost`, the payload is gone from where it was kept, and the event lacks it.
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
    """Selects entries: any of the types, all of the tags, all of the run's labels.

    Conditions that are empty select everything.
    """

    types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Entries in order of position, and where the next page begins.

    The page has every selected entry from its `from_position` up to, not including,
    `next_position`. `last_position` is that of the project's feed when the page was
    read, for a duty that of the whole feed.
    """

    entries: tuple[FeedEntry, ...]
    next_position: int
    last_position: int

    @property
    def reaches_end(self) -> bool:
        return self.next_position > self.last_position


@dataclass(frozen=True, slots=True)
class FeedPoint:
    """How far a duty must be done before a reader is answered: a position, an event, or both."""

    position: int = 0
    run: RunKey | None = None
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Consumer:
    """A named reader of a project's feed, which has processed everything up to `position`.

    `last_position` is that of the project's newest entry.
    """

    name: str
    position: int
    last_position: int
    created_at: datetime
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class Duty:
    """Work on the feed, which one process does at a time; it is done up to `position`.

    `holder` is empty if no process holds the duty.
    """

    name: str
    position: int
    holder: str


@dataclass(frozen=True, slots=True)
class Lag:
    """How many events a duty has yet to deal with, and how many seconds the oldest has waited."""

    events: int
    seconds: float


NO_LAG = Lag(0, 0.0)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that could not be delivered to a sink; `id` is 0 until the letter is stored."""

    sink: str
    position: int
    attempts: int
    error: str
    failed_at: datetime | None = None
    id: int = 0


EVERY_ENTRY = FeedFilter()
EVERY_PROJECT = ""


class FeedStore(Protocol):
    """The feed, its duties, its consumers, and what its sinks gave up."""

    @property
    def committed(self) -> Watchable:
        """Wakes when events may have been committed anywhere."""

    @property
    def published(self) -> Watchable:
        """Wakes when entries may have been published anywhere."""

    @property
    def wanted(self) -> Watchable:
        """Wakes when a caller of this process begins to wait for what a duty has yet to do."""

    async def hold_duty(self, name: str, holder: str) -> int | None:
        """Take or renew a duty; return its position, or None while another process holds it."""

    async def advance_duty(self, name: str, holder: str, position: int) -> int | None:
        """Record that a duty is done up to `position`; return None if the holder has lost it."""

    async def release_duty(self, name: str, holder: str) -> None:
        """Give up a duty, so that another process can take it at once."""

    async def list_duties(self) -> tuple[Duty, ...]:
        """Return every duty that was ever taken, by name."""

    async def publish(self, holder: str) -> int | None:
        """Publish the oldest committed events; return how many, None without the duty `relay`."""

    async def lag(self, duty: str) -> Lag:
        """Return how far a duty is behind: `relay` behind the commits, `removals` behind what was
        decided to go, `retention` never, any other behind the feed.

        A duty that was never taken is as far behind as there are events.
        """

    async def drain(self) -> None:
        """Return once everything committed before the call is published, by whichever process."""

    async def read_feed(
        self,
        project: str,
        from_position: int,
        *,
        limit: int,
        where: FeedFilter = EVERY_ENTRY,
        allow_gaps: bool = False,
    ) -> FeedPage:
        """Return up to `limit` selected entries of a project from `from_position` (inclusive) on.

        A page ends early, and may be empty, when its payloads reach the store's page size or the
        filter has looked at many entries. An event whose payload is lost makes the call fail.

        A page ends before an entry whose event is archived, and one that would begin with it raises
        `EventsArchived`; where gaps are allowed such entries are left out.
        """

    async def read_for_duty(
        self,
        project: str,
        from_position: int,
        *,
        limit: int,
        where: FeedFilter = EVERY_ENTRY,
    ) -> FeedPage:
        """Return what `read_feed` does to the work on the feed, of any project.

        `EVERY_PROJECT` reads all projects. An event whose payload is lost comes without it. One
        that is archived is left out: no duty that was there before has yet to read it.
        """

    async def commit_position(self, project: str, name: str, position: int) -> Consumer:
        """Move a consumer forward, never back; a consumer that does not exist is made.

        A position beyond the feed's last one raises `PositionAhead`.
        """

    async def reset_consumer(self, project: str, name: str, position: int) -> Consumer:
        """Move a consumer forward or back; otherwise like `commit_position`."""

    async def get_consumer(self, project: str, name: str) -> Consumer:
        """Return a consumer, or raise `ConsumerNotFound`."""

    async def list_consumers(
        self, project: str, *, limit: int, after: str | None
    ) -> Page[Consumer, str]:
        """Return up to `limit` consumers by name, which is the cursor."""

    async def count_usage(self, holder: str) -> int | None:
        """Add the next entries to the usage counts; return how many positions that were.

        None is returned without the duty `usage counts`.
        """

    async def forget_usage(self, holder: str) -> None:
        """Empty the usage counts, take their duty and set it back to the beginning.

        Those of runs whose events are archived stay; a run that has others, too, raises
        `EventsArchived`.
        """

    async def sum_stored(self, holder: str) -> int | None:
        """Add the next entries, and changes of what else is stored, to the projects' sums.

        Return how much that was, 0 when the sums have everything. None is returned without the
        duty `stored bytes`.
        """

    async def forget_stored(self, holder: str) -> None:
        """Empty the sums of what is stored, take their duty and set it back to the beginning."""

    async def bury(self, holder: str, letters: Sequence[DeadLetter]) -> int | None:
        """Store those dead letters of a sink that are new; return None without its duty."""

    async def list_dead_letters(
        self, sink: str, *, limit: int, after: int
    ) -> tuple[DeadLetter, ...]:
        """Return up to `limit` letters of a sink with ids above `after`, in order."""

    async def read_entry(self, position: int) -> FeedEntry | None:
        """Return one entry of any project, without its payload if that is lost."""

    async def remove_dead_letter(self, letter_id: int) -> bool:
        """Remove a letter, once it was delivered after all; return False if it is gone already."""
