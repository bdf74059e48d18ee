"""Values of statistics that cross the store's boundary. All are frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum

from runstore_storage.contract.runs import Usage

# What the last word of a type (behind its last dot, or all of it) says of an event.
ERROR_WORDS = ("error", "failed")
# Of an event that names a tool: that it tells how a call ended, which another event began.
ANSWER_WORDS = ("completed", "error", "failed", "result", "returned")


class Dimension(IntEnum):
    """What counts may be told apart by."""

    RUN = 1
    NODE = 2
    MODEL = 3
    TOOL = 4
    TYPE = 5
    DAY = 6
    LABEL = 7


@dataclass(frozen=True, slots=True)
class StatisticsFilter:
    """Selects runs and, of these, events; every condition that is set must hold.

    Runs: any of `run_ids` (with all below them where `with_descendants`), of the plan, with all of
    the labels and tags. Events: any of the types, models, tools and nodes, recorded on the days
    (UTC) from `from_day` to `to_day`, both inclusive.
    """

    run_ids: tuple[str, ...] = ()
    with_descendants: bool = False
    plan_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    node_ids: tuple[str, ...] = ()
    from_day: date | None = None
    to_day: date | None = None


@dataclass(frozen=True, slots=True)
class StatisticsQuery:
    """What to count and how to tell it apart; LABEL is the value of the run's label `label_key`.

    With `roll_up` RUN is not a run itself but the run without a parent that it descends from.
    """

    where: StatisticsFilter = StatisticsFilter()
    group_by: tuple[Dimension, ...] = ()
    label_key: str = ""
    roll_up: bool = False


@dataclass(frozen=True, slots=True)
class StatisticsRow:
    """What was counted of one group; `keys` are in the order of the query's `group_by`.

    A day is YYYY-MM-DD. `runs` are those that have any of the events.
    """

    keys: tuple[str, ...]
    events: int
    errors: int
    tool_calls: int
    runs: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class StatisticsPage:
    """Rows in order; `next_after` continues them, None on the last page.

    Everything up to `counted_position` of the feed is counted.
    """

    rows: tuple[StatisticsRow, ...]
    next_after: tuple[str, ...] | None
    counted_position: int
