"""Runs: saving, listing, resuming, replaying, forking and verifying them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypedDict

from runstore.values.configs import ConfigFilter, ConfigRef, PinnedConfig
from runstore.values.events import Event, Usage
from runstore.values.outputs import Completion, Outcome
from runstore.values.payloads import Payload, Value
from runstore.values.snapshots import Snapshot, TaskWrite
from runstore.values.words import WordEnum

FIRST_EPOCH = 1
"""The writer epoch of a run that has not been resumed."""


class RunStatus(WordEnum):
    """Where a run stands. `EXTERNAL`: another system owns its status."""

    RUNNING = 1
    PAUSED = 2
    SUCCEEDED = 3
    FAILED = 4
    CANCELLED = 5
    EXTERNAL = 6


@dataclass(frozen=True, slots=True)
class RunRef:
    """A run, and the epoch its writer holds; without an epoch writes are not fenced."""

    project: str
    run_id: str
    writer_epoch: int | None = None


class Writer(Protocol):
    """A handle on a run, of either client."""

    @property
    def ref(self) -> RunRef: ...


@dataclass(frozen=True, slots=True)
class ExternalRef:
    """The same execution in another system; if that system owns the status, the run is EXTERNAL."""

    system: str
    id: str
    url: str = ""
    owns_status: bool = False


@dataclass(frozen=True, slots=True)
class ForkBase:
    """Where a fork begins: it shares the history of `run_id` up to `seq`."""

    run_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The current state of a run; listings leave out `plan`.

    `salt` is empty where the hash of the run's birth was made without one.
    """

    project: str
    run_id: str
    plan_id: str
    objective: str
    plan: Payload | None
    parent_run_id: str
    external_ref: ExternalRef | None
    config_refs: tuple[ConfigRef, ...]
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    status: RunStatus
    outcome: Outcome
    last_seq: int
    last_hash: bytes
    writer_epoch: int
    usage: Usage
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    fork_base: ForkBase | None = None
    subjects: tuple[str, ...] = ()
    salt: bytes = b""


class NewRunFields(TypedDict, total=False):
    """The fields of a new run; with a `completion` it is stored as already completed.

    `subjects` say whom it is about, so that all about one of them can be found and erased.
    """

    run_id: str
    plan_id: str
    plan: Value
    parent_run_id: str
    external_ref: ExternalRef
    config_refs: Sequence[ConfigRef]
    tags: Sequence[str]
    labels: Mapping[str, str]
    completion: Completion
    subjects: Sequence[str]


class ForkFields(TypedDict, total=False):
    """What a fork changes; `config_refs` replace those of the same kind and name."""

    run_id: str
    config_refs: Sequence[ConfigRef]
    tags: Sequence[str]
    labels: Mapping[str, str]


class RunOrder(WordEnum):
    """Orders of a run listing. The COMPLETED orders leave out runs that have not ended."""

    CREATED_DESC = 1
    CREATED_ASC = 2
    UPDATED_DESC = 3
    UPDATED_ASC = 4
    COMPLETED_DESC = 5
    COMPLETED_ASC = 6


@dataclass(frozen=True, slots=True)
class ExternalFilter:
    """Selects runs by their reference to another system; without an id, any reference to it."""

    system: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs to list, in which order; conditions are joined by AND.

    A run needs all of `tags` and one of `any_tags`. `root_run_id` selects a run and all of its
    descendants. `objective` holds words of the objective, as for a web search. `oldest_first` is
    the order CREATED_ASC; it applies if no `order` is given.
    """

    statuses: Sequence[RunStatus] = ()
    tags: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    created_from: datetime | None = None
    created_before: datetime | None = None
    plan_id: str = ""
    model: str = ""
    tool: str = ""
    parent_run_id: str = ""
    config: ConfigFilter | None = None
    oldest_first: bool = False
    any_tags: Sequence[str] = ()
    root_run_id: str = ""
    external: ExternalFilter | None = None
    updated_from: datetime | None = None
    updated_before: datetime | None = None
    completed_from: datetime | None = None
    completed_before: datetime | None = None
    objective: str = ""
    order: RunOrder | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of resuming a run: the claimed epoch, and what the new writer needs."""

    run: RunInfo
    writer_epoch: int
    snapshot: Snapshot | None
    pending_node_ids: tuple[str, ...]
    task_writes: tuple[TaskWrite, ...]
    events: tuple[Event, ...]
    next_from_seq: int
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class Completed:
    """The result of completing a run; `deduplicated` if it had been completed so before."""

    status: RunStatus
    seq: int
    revision: int
    completed_at: datetime
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run as it stood at a seq; its events continue at `next_from_seq`, up to `at_seq`."""

    run: RunInfo
    at_seq: int
    snapshot: Snapshot | None
    task_writes: tuple[TaskWrite, ...]
    events: tuple[Event, ...]
    next_from_seq: int
    configs: tuple[PinnedConfig, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of checking the hash chain; `problem` is empty if everything agrees."""

    verified: bool
    checked_events: int
    last_seq: int
    last_hash: bytes
    problem: str = ""
    problem_seq: int = 0
    next_from_seq: int = 0
    erased_events: int = 0
    """How many of the checked events were erased: of these, what is left is checked."""
