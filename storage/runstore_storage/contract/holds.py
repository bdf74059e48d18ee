"""Holds: what may not be removed, whoever asks for it, and the methods that place and release them.

A hold names a run, or selects runs as they are whenever something is to be removed. Every act is
recorded as in `contract/admin.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from runstore_storage.contract.access import Principal
from runstore_storage.contract.admin import Act
from runstore_storage.contract.heads import RunStatus
from runstore_storage.contract.pages import Page


@dataclass(frozen=True, slots=True)
class RunSelection:
    """Selects runs: any of the statuses, the plan, all of the tags and labels; empty selects all.

    It selects by what a run is when it is looked at: its status changes.
    """

    statuses: tuple[RunStatus, ...] = ()
    plan_id: str = ""
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewHold:
    """A hold to be placed, on a run or, with an empty `run_id`, on those that are selected."""

    project: str
    reason: str
    run_id: str = ""
    where: RunSelection = RunSelection()


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold; it holds until it is released."""

    hold_id: str
    run_id: str
    where: RunSelection
    reason: str
    placed_by: Principal
    placed_at: datetime
    released_by: Principal | None = None
    released_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HoldCursor:
    """Where a page of holds ended."""

    placed_at: datetime
    hold_id: str


class HoldStore(Protocol):
    """What may not be removed."""

    async def place_hold(self, new: NewHold, act: Act) -> tuple[Hold, bool]:
        """Place a hold; True with it if an earlier act placed it. `RunNotFound`.

        When it returns, nothing that it holds is being removed, or ever is until it is released.
        """

    async def release_hold(self, hold_id: str, act: Act) -> tuple[Hold, bool]:
        """End a hold of the act's project; True with it if it had ended. `HoldNotFound`."""

    async def list_holds(
        self,
        project: str,
        *,
        run_id: str,
        released: bool,
        limit: int,
        after: HoldCursor | None,
    ) -> Page[Hold, HoldCursor]:
        """Return holds, newest first: of the project, or those that hold a run. `RunNotFound`.

        With `released`, those that have ended too.
        """
