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

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from runstore_storage.contract.artifact_store import ArtifactStore
from runstore_storage.contract.config_store import ConfigStore
from runstore_storage.contract.feed_store import FeedStore
from runstore_storage.contract.runs import (
    Appended,
    CompletedRun,
    Completion,
    DeletedSnapshots,
    Event,
    EventFilter,
    EventPage,
    Guard,
    NewFork,
    NewRun,
    PutSnapshotAnswer,
    ReplayedRun,
    ResumedRun,
    Run,
    RunFilter,
    RunKey,
    RunOrder,
    RunPage,
    RunPlace,
    SavedRun,
    Snapshot,
    SnapshotPage,
    SnapshotPosition,
    SnapshotQuery,
    SnapshotSelector,
    SnapshotWithWrites,
    StoredOutput,
    TaskWrite,
    Verification,
)
from runstore_storage.contract.search_store import SearchStore
from runstore_storage.contract.statistics_store import StatisticsStore

NO_GUARD = Guard()
EVERY_EVENT = EventFilter()


class Tail(Protocol):
    """The growing end of one run, as the streams of one process see it together."""

    async def read(self, from_seq: int, *, limit: int, where: EventFilter) -> EventPage:
        """Return what `Store.read_events` returns, from memory where the tail holds it.

        A run that does not exist yet reads as an empty page with `last_seq` 0.
        """

    @property
    def mark(self) -> int:
        """Changes whenever the run may have changed. Take it before reading."""

    async def wait(self, mark: int, timeout: float) -> bool:  # noqa: ASYNC109 - a bound on silence
        """Wait until the run may have changed since `mark`; False when `timeout` seconds passed.

        A change committed anywhere ends the wait within the store's poll interval at the latest.
        """


class Store(Protocol):
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

    async def save_run(self, new: NewRun) -> SavedRun:
        """Create a run with epoch 1, and its completion where given, in one transaction.

        The same run_id and content again returns the run as it stands. A parent that the project
        does not have raises `RunNotFound`. Config refs are resolved to pins in that transaction,
        once; see `pinning.pin` for what that raises.
        """

    async def get_run(self, key: RunKey) -> Run:
        """Return the run with its plan."""

    async def list_runs(
        self,
        project: str,
        where: RunFilter,
        order: RunOrder,
        *,
        limit: int,
        after: RunPlace | None,
        offset: int = 0,
    ) -> RunPage:
        """Return up to `limit` runs without plans, from `RunPage.next_after` of the page before.

        By completion, only runs that ended are listed. Pages that follow each other hold no run
        twice, and every run that was selected all the while and that nothing moved: what is saved
        or completed meanwhile may be left out, and by update what is updated meanwhile.

        The models and tools of an event select its run at once, while at most `FRESH_RANGES` of
        committed events wait to be counted; beyond that the newest of those and all counted ones.

        The first `offset` of them are passed over, at the cost of reading them; a run saved between
        two pages moves what an offset stands for, and moves nothing for `after`.
        """

    async def append_events(
        self, key: RunKey, events: Sequence[Event], guard: Guard = NO_GUARD
    ) -> tuple[Appended, ...]:
        """Append events with consecutive seqs, all or none; one answer an event, in order.

        More waiting writes than the store holds raise `Overloaded`. Cancelling the caller does not
        take the events back.
        """

    async def read_events(
        self, key: RunKey, from_seq: int, *, limit: int, where: EventFilter = EVERY_EVENT
    ) -> EventPage:
        """Return up to `limit` selected events from `from_seq` (inclusive) on.

        A page ends early where its payloads pass the store's page size, but holds at least one
        event where one is selected.
        """

    def open_tail(self, key: RunKey) -> AbstractAsyncContextManager[Tail]:
        """Join the run's tail for as long as the context lasts; the run need not exist."""

    def wake_all(self) -> None:
        """End every wait of this process for events or for the feed."""

    async def put_snapshot(
        self,
        key: RunKey,
        snapshot: Snapshot,
        *,
        events: Sequence[Event] = (),
        task_writes: Sequence[TaskWrite] = (),
        guard: Guard = NO_GUARD,
        request_id: str = "",
    ) -> PutSnapshotAnswer:
        """Append the events, keep the task writes, store the snapshot: all or none.

        PAUSE appends run.paused and pauses the run, REPLAN appends run.replanned and sets it
        running; the status of an EXTERNAL run stays. A seq beyond the last event raises
        `SnapshotAhead`, a ref the run never stored `UnknownRef`. The request is recognised by
        `request_id`, or else by a snapshot_id of the caller's.
        """

    async def put_task_writes(
        self,
        key: RunKey,
        namespace: str,
        writes: Sequence[TaskWrite],
        *,
        writer_epoch: int | None = None,
    ) -> bool:
        """Keep results of tasks since a snapshot, all or none; True when all were known.

        Index >= 0 is written once, index < 0 is replaced. An empty snapshot_id is the run's
        beginning, an unknown one raises `SnapshotNotFound`.
        """

    async def get_snapshot(
        self, key: RunKey, namespace: str, selector: SnapshotSelector
    ) -> SnapshotWithWrites:
        """Return the chosen snapshot in full with its task writes, or raise `SnapshotNotFound`."""

    async def list_snapshots(
        self, query: SnapshotQuery, *, limit: int, after: SnapshotPosition | None
    ) -> SnapshotPage:
        """Return up to `limit` snapshots: of a run by seq and id, of a project by age; both
        descending. With parts, a page ends early where they pass the store's page size.
        """

    async def delete_snapshots(
        self,
        key: RunKey,
        namespace: str,
        snapshot_ids: Collection[str],
        *,
        writer_epoch: int | None = None,
    ) -> DeletedSnapshots:
        """Delete snapshots of the run itself with their task writes, and the parts that no other
        snapshot of the run refers to; return how much that was.

        Unknown ids are ignored. A snapshot that a fork has in its history raises `SnapshotInUse`,
        and nothing is deleted. A completed run's snapshots may be deleted too. Events, outputs and
        first answers to requests stay.
        """

    async def resume_run(
        self,
        key: RunKey,
        *,
        namespace: str,
        request_id: str,
        actor: str,
        limit: int,
        expected_seq: int | None = None,
    ) -> ResumedRun:
        """Claim a new epoch, set the run running, append run.resumed, and return in one consistent
        read the run, the latest snapshot, its task writes and the first page of events after it.

        The same request_id again returns the same epoch. A completed run raises `RunCompleted`, an
        `expected_seq` that is not the last seq `SeqConflict`.
        """

    async def replay_run(
        self, key: RunKey, at_seq: int | None, *, namespace: str, limit: int
    ) -> ReplayedRun:
        """Return in one consistent read the run as it stood at a seq, None being its last one: the
        latest snapshot at or before it, the task writes made until then, the first page of the
        events between, and the bodies of the pinned configs. A seq beyond the last event raises
        `SeqAhead`.
        """

    async def fork_run(self, fork: NewFork) -> SavedRun:
        """Create a run whose history up to a seq is another's, shared and not copied.

        The same fork_run_id and content again returns the run as it stands. A seq beyond the other
        run's last event raises `SeqAhead`, its terminal event `RunCompleted`.
        """

    async def complete_run(
        self, key: RunKey, completion: Completion, guard: Guard = NO_GUARD
    ) -> CompletedRun:
        """End a run, or add an output revision to an ended one.

        Content equal to an earlier revision returns that revision. Another outcome than the first
        raises `OutcomeConflict`; new events or snapshots for an ended run raise `RunCompleted`. No
        outcome raises `OutcomeRequired`, unless the run is EXTERNAL.
        """

    async def get_output(self, key: RunKey, revision: int) -> StoredOutput:
        """Return a revision, the latest for 0, or raise `OutputNotFound`."""

    async def verify_run(self, key: RunKey, *, from_seq: int, max_events: int) -> Verification:
        """Recompute the hash chain from `from_seq` on, over at most `max_events` (0: all)."""

    async def close(self) -> None:
        """Finish writes in flight and release every connection."""
