"""Runs as a whole, and the methods that save, list, resume, replay, fork and verify them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from runstore_storage.contract.configs import ConfigRef, PinnedConfig
from runstore_storage.contract.events import EventPage, Usage
from runstore_storage.contract.heads import Outcome, RunKey, RunStatus
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.pages import Page
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.snapshots import StoredSnapshot, TaskWrite


class RunOrder(IntEnum):
    CREATED_DESC = 1
    CREATED_ASC = 2
    UPDATED_DESC = 3
    UPDATED_ASC = 4
    COMPLETED_DESC = 5
    COMPLETED_ASC = 6


@dataclass(frozen=True, slots=True)
class ExternalRef:
    system: str
    id: str
    url: str = ""
    owns_status: bool = False


@dataclass(frozen=True, slots=True)
class ForkBase:
    """The run that a fork was made of, and the last seq they have in common."""

    run_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run as it is known at birth. The store fills in an empty `run_id`, and the `salt`.

    `subjects` are the people, or whoever else, that it is about.
    """

    project: str
    run_id: str = ""
    plan_id: str = ""
    objective: str = ""
    plan: Payload | None = None
    parent_run_id: str = ""
    external_ref: ExternalRef | None = None
    config_refs: tuple[ConfigRef, ...] = ()
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    completion: Completion | None = None
    fork_base: ForkBase | None = None
    subjects: tuple[str, ...] = ()
    salt: bytes | None = None


@dataclass(frozen=True, slots=True)
class NewFork:
    """A fork to be made of the run `key`. `at_seq` 0 takes all its events but the terminal one.

    The store fills in an `objective` of None and an empty `fork_run_id`. Each of the `config_refs`
    replaces the one of its kind and name.
    """

    key: RunKey
    at_seq: int = 0
    fork_run_id: str = ""
    objective: str | None = None
    config_refs: tuple[ConfigRef, ...] = ()
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stands; `born` is what it was saved with, without the completion."""

    born: NewRun
    status: RunStatus
    outcome: Outcome
    last_seq: int
    last_hash: bytes
    writer_epoch: int
    usage: Usage
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None

    @property
    def key(self) -> RunKey:
        return RunKey(self.born.project, self.born.run_id)


@dataclass(frozen=True, slots=True)
class PinFilter:
    """Selects runs by a pinned config version; version 0 and an empty digest match any."""

    kind: str
    name: str
    version: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ExternalFilter:
    """Selects runs by their counterpart in another system; an empty id matches any."""

    system: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Selects runs; every condition that is set must hold.

    A run must have all of `tags`, and one of `any_tags`. `root_run_id` selects a run and all runs
    started below it. `text` is searched for in the beginning of the objective. Conditions on the
    time of completion exclude runs that are not completed.
    """

    statuses: tuple[RunStatus, ...] = ()
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    created_from: datetime | None = None
    created_before: datetime | None = None
    plan_id: str = ""
    model: str = ""
    tool: str = ""
    parent_run_id: str = ""
    config: PinFilter | None = None
    any_tags: tuple[str, ...] = ()
    root_run_id: str = ""
    external: ExternalFilter | None = None
    updated_from: datetime | None = None
    updated_before: datetime | None = None
    completed_from: datetime | None = None
    completed_before: datetime | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class SavedRun:
    run: Run
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class RunCursor:
    """Where a page of runs ended.

    `as_of` is when the first page was read, if runs updated later are to be left out.
    """

    at: datetime
    run: int
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class ResumedRun:
    run: Run
    writer_epoch: int
    snapshot: StoredSnapshot | None
    task_writes: tuple[TaskWrite, ...]
    events: EventPage
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class ReplayedRun:
    """A run as it stood at a seq: the latest snapshot at or before it, and what followed that.

    `events` is the first page of the events after the snapshot, up to `at_seq`.
    """

    run: Run
    at_seq: int
    snapshot: StoredSnapshot | None
    task_writes: tuple[TaskWrite, ...]
    events: EventPage
    configs: tuple[PinnedConfig, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of checking the hash chain; `problem` is empty if all that was checked agrees."""

    checked_events: int
    last_seq: int
    last_hash: bytes
    problem: str
    problem_seq: int
    next_from_seq: int
    erased_events: int = 0
    """How many of the checked events were erased."""


class RunStore(Protocol):
    """Runs as a whole."""

    async def save_run(self, new: NewRun) -> SavedRun:
        """Create a run with epoch 1, and complete it if a completion is given, in one transaction.

        Repeated with the same run_id and content, it returns the run as it stands. A parent that
        the project does not have raises `RunNotFound`. Config refs are resolved to pins, once, in
        the same transaction; `configs.pinning.pin` says what that raises.
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
        after: RunCursor | None,
        offset: int = 0,
    ) -> Page[Run, RunCursor]:
        """Return up to `limit` runs, without their plans.

        Ordered by completion, only completed runs are listed. No run is on two pages, and every run
        that is selected all the while is on one; a run may be missing if it was saved or completed
        while the pages were read or, ordered by update, updated.

        Filters by model and tool see an event as soon as it is committed, while at most
        `FRESH_RANGES` ranges of events wait to be counted; beyond that they see the counted events
        and the newest of the others.

        The first `offset` runs are skipped, at the cost of reading them. A run saved between two
        pages shifts an offset, but not `after`.
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
        """Claim the run for a new writer: take the next epoch, set the run running, append
        run.resumed. Return the run, its latest snapshot, the task writes since and the first page
        of the events after it, all read in the same transaction.

        A repeated request_id returns the same epoch. A completed run raises `RunCompleted`; an
        `expected_seq` that is not the last seq raises `SeqConflict`. Events since the snapshot that
        are archived raise `EventsArchived`.
        """

    async def replay_run(
        self,
        key: RunKey,
        at_seq: int | None,
        *,
        namespace: str,
        limit: int,
        read_archive: bool = False,
    ) -> ReplayedRun:
        """Return the run as it stood at a seq, or at its last one for None: the latest snapshot at
        or before it, the task writes made until then, the first page of the events in between and
        the bodies of the pinned configs, all read in the same transaction.

        A seq beyond the last event raises `SeqAhead`. Events since the snapshot that are archived
        raise `EventsArchived`, unless the archive may be read.
        """

    async def fork_run(self, fork: NewFork) -> SavedRun:
        """Create a run that shares another run's history up to a seq; nothing is copied.

        Repeated with the same fork_run_id and content, it returns the fork as it stands. A seq
        beyond the other run's last event raises `SeqAhead`; the seq of its terminal event raises
        `RunCompleted`; a run with archived events raises `EventsArchived`.
        """

    async def verify_run(
        self, key: RunKey, *, from_seq: int, max_events: int, read_archive: bool = False
    ) -> Verification:
        """Recompute the hash chain of at most `max_events` events (0: all) from `from_seq` on.

        Events that are archived raise `EventsArchived`, unless the archive may be read.
        """
