"""The contract of statistics: what events used, added up over any selection of them.

Events are counted a moment after they were published, by whoever holds the duty `usage counts`:
what is counted is the feed up to a position. Counts are exact as of that position.

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


class StatisticsStore(Protocol):
    """What was counted."""

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
        """Return up to `limit` groups that have events, from behind the keys `after` on.

        They come in the order of their keys, compared byte by byte: RUN before all others, the
        others as `group_by` has them. Without `group_by` there is one group, of everything, also
        where there is nothing. No group comes twice, whatever is counted between two pages.

        A run the project does not have counts nothing. By RUN, a page costs what its runs do;
        otherwise each page adds up all that is selected.
        """
