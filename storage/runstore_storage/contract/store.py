"""The store's contract. Read this first.

A `Store` keeps runs. Each method is one transaction: it commits before it returns, and when it
raises nothing was written, except after `StorageUnavailable`, where the outcome is unknown until
the write is repeated with the same ids.

Rules that hold for every method:

- A run is addressed by project and run_id together; an unknown one raises `RunNotFound`.
- Seqs of a run are 1, 2, 3 ... without gaps, in commit order.
- Idempotence is judged before conflicts: a write repeated with the same ids and content returns the
  first answer, `deduplicated`, whatever happened to the run since. A known id with other content,
  or a batch of which only some ids are known, raises `IdempotencyMismatch`.
- A `Guard` is then checked in this order: `writer_epoch` below the run's raises `WriterFenced`,
  above it `WriterEpochUnknown`; a completed run raises `RunCompleted`; an `expected_seq` that is
  not the last seq raises `SeqConflict`.
- Callers have validated bounds; the store relies on them and on well-formed JSON.
"""

from __future__ import annotations

from typing import Protocol

from runstore_storage.contract.artifacts import ArtifactStore
from runstore_storage.contract.configs import ConfigStore
from runstore_storage.contract.events import EventStore
from runstore_storage.contract.feed import FeedStore
from runstore_storage.contract.outputs import OutputStore
from runstore_storage.contract.runs import RunStore
from runstore_storage.contract.search import SearchStore
from runstore_storage.contract.snapshots import SnapshotStore
from runstore_storage.contract.statistics import StatisticsStore


class Store(RunStore, EventStore, SnapshotStore, OutputStore, Protocol):
    """The durable record of runs."""

    @property
    def feed(self) -> FeedStore:
        """The same events in the order of their publication."""

    @property
    def configs(self) -> ConfigStore:
        """Versions of prompts, tools, agents and evaluators, which runs are pinned to."""

    @property
    def artifacts(self) -> ArtifactStore:
        """Named results of the runs, whose bytes are in an object store."""

    @property
    def search(self) -> SearchStore:
        """The same events by the words in them."""

    @property
    def statistics(self) -> StatisticsStore:
        """The same events counted: what they used, by run, node, model, tool, type and day."""

    async def check(self) -> None:
        """Return when the database answers and takes writes; raise `StorageUnavailable` if not."""

    def wake_all(self) -> None:
        """End every wait of this process for events or for the feed."""

    async def close(self) -> None:
        """Finish writes in flight and release every connection."""
