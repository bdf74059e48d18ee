"""Statistics: what events used, added up over any selection of them.

The holder of the duty `usage counts` counts events a moment after they are published, in the order
of the feed: everything up to a position is counted. Counts are exact as of that position.

The rules of `Store` hold here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from typing import Protocol

from runstore_storage.contract.events import Usage
from runstore_storage.contract.feed import FeedPoint

# The last dot-separated words of a type that mark an event as an error.
ERROR_WORDS = ("error", "failed")
# Those that mark an event with a tool as the end of a call: a call is counted once, as it begins.
ANSWER_WORDS = ("completed", "error", "failed", "result", "returned")


class Dimension(IntEnum):
    """What counts may be grouped by."""

    RUN = 1
    NODE = 2
    MODEL = 3
    TOOL = 4
    TYPE = 5
    DAY = 6
    LABEL = 7


@dataclass(frozen=True, slots=True)
class StatisticsFilter:
    """Selects runs, and events of these; every condition that is set must hold.

    Runs are any of `run_ids` (with all runs below them if `with_descendants`), of the plan, with
    all of the labels and tags. Events have any of the types, models, tools and nodes, and were
    recorded from `from_day` to `to_day` (UTC), both inclusive.
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
    """What to count and how to group it; LABEL is the value of the run's label `label_key`.

    With `roll_up`, RUN is not the run itself but the topmost run that it descends from.
    """

    where: StatisticsFilter = StatisticsFilter()
    group_by: tuple[Dimension, ...] = ()
    label_key: str = ""
    roll_up: bool = False


@dataclass(frozen=True, slots=True)
class StatisticsRow:
    """The counts of one group; `keys` are in the order of the query's `group_by`.

    A day is written as YYYY-MM-DD. `runs` counts the runs that have any of the events.
    """

    keys: tuple[str, ...]
    events: int
    errors: int
    tool_calls: int
    runs: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class StatisticsPage:
    """Rows in order; `next_after` is None on the last page.

    Everything up to `counted_position` of the feed is counted.
    """

    rows: tuple[StatisticsRow, ...]
    next_after: tuple[str, ...] | None
    counted_position: int


class StatisticsStore(Protocol):
    """Counts of what events used."""

    async def wait_counted(self, point: FeedPoint, seconds: float) -> None:
        """Return when usage is counted up to `point`; raise `StatisticsBehind` after `seconds`.

        A run that the project does not have raises `RunNotFound`. An event that has not been
        appended yet is waited for like one that is not counted yet.
        """

    async def get_statistics(
        self,
        project: str,
        query: StatisticsQuery,
        *,
        limit: int,
        after: tuple[str, ...] | None = None,
    ) -> StatisticsPage:
        """Return up to `limit` groups that have events; the cursor is a group's keys.

        Groups are in the order of their keys, compared byte by byte: RUN first, the others in the
        order of `group_by`. Without `group_by` there is one group of everything, even if there are
        no events. No group is on two pages, whatever is counted between them.

        A run that the project does not have counts nothing. By RUN, the cost of a page depends on
        its runs; otherwise each page adds up everything that is selected.
        """
