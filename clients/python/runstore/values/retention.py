"""Retention: how long what is kept, and what would go by that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from runstore.values.admin import Principal
from runstore.values.holds import RunSelection
from runstore.values.removals import RemovalKind
from runstore.values.words import WordEnum


class RetentionBlocker(WordEnum):
    """What keeps something that policies would let go."""

    HELD = 1
    IN_USE = 2
    UNREAD = 3


@dataclass(frozen=True, slots=True)
class Policy:
    """How long what is kept of the runs that `filter` selects, from when they have ended.

    A time is None where the policy says nothing of it, else at least a second. Events are archived
    when it is over, those of a run that was restored so long after that; all else is removed. Of
    snapshots the latest `keep_last_snapshots` of each namespace stay. With `include_external` it is
    about runs, too, whose status an external engine owns: their time begins with each write anew.
    The server says who put it, and when.
    """

    name: str
    keep_run: timedelta | None = None
    keep_events: timedelta | None = None
    keep_snapshots: timedelta | None = None
    keep_last_snapshots: int = 0
    keep_artifacts: timedelta | None = None
    keep_search_text: timedelta | None = None
    filter: RunSelection = RunSelection()  # noqa: RUF009 - frozen
    include_external: bool = False
    put_by: Principal | None = None
    put_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RetentionSum:
    """How much of one kind would go, or what `blocker` keeps of it.

    `items` are events for runs, events and search text, snapshots, or artifacts; `sample_run_ids`
    the first ten of the runs.
    """

    kind: RemovalKind
    blocker: RetentionBlocker | None
    runs: int
    items: int
    bytes: int
    sample_run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RetentionPreview:
    """What policies would remove now, and what keeps the rest.

    With `has_more` the project has more runs that have ended than were looked at.
    `warnings` say what keeps policies from being applied at all.
    """

    sums: tuple[RetentionSum, ...]
    looked_at_runs: int
    has_more: bool
    warnings: tuple[str, ...]
