"""Retention: policies that say how long what is stored of runs is kept, and applying them. Events
are archived, everything else is removed.

What no policy names is kept for ever; where several that select a run name the same, the longest
time counts. Whatever they say, nothing goes of a run that has not ended or is held, nothing but
snapshots of one that has forks, no snapshot in a fork's history, and no run whose events are not
all read by the feed's consumers and sinks. Every act is recorded as in `contract/admin.py`, those
of the duty `retention` too, by the duty itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Protocol

from runstore_storage.contract.access import Principal
from runstore_storage.contract.admin import Act
from runstore_storage.contract.holds import RunSelection
from runstore_storage.contract.pages import Page
from runstore_storage.contract.removals import RemovalKind


class Blocker(IntEnum):
    """What keeps something whose time is over; numbers equal those of the contracts."""

    HELD = 1
    IN_USE = 2
    UNREAD = 3


@dataclass(frozen=True, slots=True)
class Keep:
    """How long what is kept after a run has ended; None says nothing of it.

    Events of a run that was restored are kept for so long after that. Of snapshots the latest
    `last_snapshots` of each namespace stay when their time is over.
    """

    events: timedelta | None = None
    snapshots: timedelta | None = None
    last_snapshots: int = 0
    artifacts: timedelta | None = None
    search_text: timedelta | None = None
    run: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy. With `includes_external` it is about runs, too, whose status an external engine
    owns: their time begins with each write anew.
    """

    name: str
    keep: Keep
    where: RunSelection = RunSelection()  # noqa: RUF009 - frozen
    includes_external: bool = False


@dataclass(frozen=True, slots=True)
class KeptPolicy:
    """A policy as it was put."""

    policy: Policy
    put_by: Principal
    put_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """How much of one kind policies would let go, or what a blocker keeps of it.

    `items` are events for runs, events and search text, snapshots, or artifacts.
    """

    kind: RemovalKind
    blocker: Blocker | None
    runs: int
    items: int
    bytes: int
    sample_run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What policies would let go now; with `has_more`, more runs have ended than were looked at."""

    due: tuple[Due, ...]
    looked_at_runs: int
    has_more: bool


class RetentionStore(Protocol):
    """How long what is kept."""

    async def put_policy(self, policy: Policy, act: Act) -> tuple[KeptPolicy, bool]:
        """Put a policy of the act's project in place of the one of its name; True with it if an
        earlier act put it.
        """

    async def delete_policy(self, name: str, act: Act) -> bool:
        """End a policy of the act's project; True if an earlier act ended it. `PolicyNotFound`."""

    async def list_policies(
        self, project: str, *, limit: int, after: str | None
    ) -> Page[KeptPolicy, str]:
        """Return the policies of a project by name."""

    async def preview_retention(
        self, project: str, policy: Policy | None, *, idle: timedelta
    ) -> Preview:
        """Return what the project's policies would let go now, with `policy` among them.

        A consumer or sink that has done nothing for longer than `idle` keeps nothing.
        """

    async def retain(self, holder: str, *, idle: timedelta) -> int | None:
        """Decide the next removals and archives that policies ask for; how many, 0 at the end of a
        pass over all runs. None when the holder has lost the duty `retention`.

        What it decides, the duty `removals` does.
        """
