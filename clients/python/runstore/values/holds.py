"""Holds: what may not be removed, whoever asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from runstore.values.admin import Principal
from runstore.values.runs import RunStatus


@dataclass(frozen=True, slots=True)
class RunSelection:
    """Selects runs: any of the statuses, the plan, all of the tags and labels; empty selects all.

    It selects by what a run is when it is looked at: its status changes.
    """

    statuses: Sequence[RunStatus] = ()
    plan_id: str = ""
    tags: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold on a run, or on the runs that `filter` selects; it holds until it is released.

    Either `run_id` is not empty or `filter` is not None.
    """

    hold_id: str
    run_id: str
    filter: RunSelection | None
    reason: str
    placed_by: Principal
    placed_at: datetime
    released_by: Principal | None = None
    released_at: datetime | None = None
