"""The store's contract. Read this first.

A `Store` keeps runs. Each write is one transaction. It has committed when the method returns; if
the method raises, nothing was written. Only `StorageUnavailable` leaves the outcome unknown, until
the write is repeated with the same ids.

Rules that hold for every method:

- A run is addressed by project and run_id together; an unknown one raises `RunNotFound`.
- The seqs of a run are 1, 2, 3 ... without gaps, in commit order.
- Idempotence is decided before conflicts: a write repeated with the same ids and content returns
  the first answer, `deduplicated`, whatever has happened to the run since. A known id with other
  content, or a batch of which only some ids are known, raises `IdempotencyMismatch`.
- Then a `Guard` is checked, in this order: a `writer_epoch` below the run's raises `WriterFenced`,
  one above it `WriterEpochUnknown`; a completed run raises `RunCompleted`; an `expected_seq` that
  is not the last seq raises `SeqConflict`.
- A listing returns a `Page`; its `after` is the `next_after` of the page before, None for the first
  page.
- A write that has begun is finished even if its caller is cancelled.
- Callers have checked all bounds, and that JSON is well-formed; the store relies on that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from runstore_storage.contract.admin import AdminStore
from runstore_storage.contract.archives import ArchiveStore
from runstore_storage.contract.artifacts import ArtifactStore
from runstore_storage.contract.configs import ConfigStore
from runstore_storage.contract.erasures import ErasureStore
from runstore_storage.contract.events import EventStore
from runstore_storage.contract.feed import FeedStore
from runstore_storage.contract.holds import HoldStore
from runstore_storage.contract.ledger import LedgerStore
from runstore_storage.contract.outputs import OutputStore
from runstore_storage.contract.removals import RemovalStore
from runstore_storage.contract.retention import RetentionStore
from runstore_storage.contract.runs import RunStore
from runstore_storage.contract.search import SearchStore
from runstore_storage.contract.snapshots import SnapshotStore
from runstore_storage.contract.statistics import StatisticsStore


class Store(RunStore, EventStore, SnapshotStore, OutputStore, Protocol):
    """The durable record of runs. The other nouns have properties of their own."""

    @property
    def feed(self) -> FeedStore:
        """The events of all projects in the order they were published."""

    @property
    def configs(self) -> ConfigStore:
        """Versions of prompts, tools, agents and evaluators, to which runs are pinned."""

    @property
    def artifacts(self) -> ArtifactStore:
        """Named results of runs, whose bytes are in an object store."""

    @property
    def archives(self) -> ArchiveStore:
        """Runs as files that are verified without a server."""

    @property
    def search(self) -> SearchStore:
        """Search for published events by the words in them."""

    @property
    def statistics(self) -> StatisticsStore:
        """What events used, counted by run, node, model, tool, type and day."""

    @property
    def admin(self) -> AdminStore:
        """Who may use the store, and how much of it."""

    @property
    def holds(self) -> HoldStore:
        """What may not be removed."""

    @property
    def removals(self) -> RemovalStore:
        """What is removed for good."""

    @property
    def retention(self) -> RetentionStore:
        """How long what is kept."""

    @property
    def erasures(self) -> ErasureStore:
        """What events said, removed for good."""

    @property
    def ledger(self) -> LedgerStore:
        """What was erased and deleted, to be done again on a restored copy."""

    async def check(self) -> None:
        """Return if the database answers and accepts writes; raise `StorageUnavailable` if not."""

    async def look_for_seal(self) -> None:
        """See whether what is hashed is to be salted. Call it before the first write."""

    async def follow_seal(self) -> None:
        """Look again and again, until what is hashed is salted."""

    @property
    def warnings(self) -> Sequence[str]:
        """Sentences on what will make writes fail unless an operator sees to it; usually none."""

    def wake_all(self) -> None:
        """End every wait of this process for events or the feed."""

    def abandon(self) -> None:
        """Break every connection and open no more: calls under way raise `StorageUnavailable`."""

    async def close(self) -> None:
        """Finish the writes that have begun, then close every connection."""
