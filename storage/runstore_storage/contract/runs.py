"""Runs as a whole: their values, and the methods that save, list, resume, replay, verify them."""

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
    """Where a fork left another run: they have all up to `seq` in common."""

    run_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run as it is known at birth. An empty `run_id` is filled in by the store."""

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


@dataclass(frozen=True, slots=True)
class NewFork:
    """A fork as it is asked for. `at_seq` 0 means all of the other run but its end.

    `objective` None and an empty `fork_run_id` are filled in; `config_refs` replace those of the
    same kind and name.
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
    """A run as it stands; `born` is what SaveRun was given, without the completion."""

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
    """Selects runs by a pinned version; version 0 and an empty digest are not compared."""

    kind: str
    name: str
    version: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ExternalFilter:
    """Selects runs by what they are in another system; an empty id is not compared."""

    system: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Selects runs; every condition that is set must hold.

    `tags` must all be there, of `any_tags` one. `root_run_id` selects a run and whatever was
    started below it. `text` is looked for in the objective's beginning. A run that has not ended
    was completed at no time.
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

    `as_of` is when the first page was read, where later updates are left out.
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
    """A run as it stood at a seq: the latest snapshot at or before it, and what came after that.

    `events` are the first page of those behind the snapshot; none is beyond `at_seq`.
    """

    run: Run
    at_seq: int
    snapshot: StoredSnapshot | None
    task_writes: tuple[TaskWrite, ...]
    events: EventPage
    configs: tuple[PinnedConfig, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the hash chain found; `problem` is empty when everything checked agrees."""

    checked_events: int
    last_seq: int
    last_hash: bytes
    problem: str
    problem_seq: int
    next_from_seq: int


class RunStore(Protocol):
    """Runs as a whole."""

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
        after: RunCursor | None,
        offset: int = 0,
    ) -> Page[Run, RunCursor]:
        """Return up to `limit` runs without plans that follow `after`, None being the start.

        By completion, only runs that ended are listed. Pages that follow each other hold no run
        twice, and every run that was selected all the while and that nothing moved: what is saved
        or completed meanwhile may be left out, and by update what is updated meanwhile.

        The models and tools of an event select its run at once, while at most `FRESH_RANGES` of
        committed events wait to be counted; beyond that the newest of those and all counted ones.

        The first `offset` of them are passed over, at the cost of reading them; a run saved between
        two pages moves what an offset stands for, and moves nothing for `after`.
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

    async def verify_run(self, key: RunKey, *, from_seq: int, max_events: int) -> Verification:
        """Recompute the hash chain from `from_seq` on, over at most `max_events` (0: all)."""
