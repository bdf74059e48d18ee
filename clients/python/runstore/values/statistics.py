"""Statistics: what events used, added up by dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, TypedDict

from runstore.values.events import Usage

Dimension = Literal["run", "node", "model", "tool", "type", "day"]


@dataclass(frozen=True, slots=True)
class StatisticsRow:
    """The counts of one group. Dimensions that it is not grouped by are empty; the day is None.

    `errors` counts events of a type whose last word is error or failed. `tool_calls` counts events
    that name a tool, except those that report how a call ended. `runs` counts the runs that have
    any of the events.
    """

    run_id: str
    node_id: str
    model: str
    tool: str
    type: str
    day: date | None
    label_value: str
    events: int
    errors: int
    tool_calls: int
    runs: int
    usage: Usage


class StatisticsFields(TypedDict, total=False):
    """The options of statistics other than the dimensions.

    Selects runs: any of `run_ids` (with `include_descendants` also all runs below them), of a plan,
    with all of the labels and tags. Selects events: any of the types, models, tools and nodes,
    recorded on the days (UTC) from `from_day` to `to_day`. `label_key` also groups by a label of
    the run; `roll_up_to_root` counts each run as its topmost ancestor. `after` is the
    (run_id, seq) of an event, `min_position` a position of the feed: the call waits until they are
    counted, for at most `wait_seconds`, at most 30 and within the client's timeout, and then raises
    `StatisticsBehind`.
    """

    run_ids: Sequence[str]
    include_descendants: bool
    plan_id: str
    labels: Mapping[str, str]
    tags: Sequence[str]
    types: Sequence[str]
    models: Sequence[str]
    tools: Sequence[str]
    node_ids: Sequence[str]
    from_day: date
    to_day: date
    label_key: str
    roll_up_to_root: bool
    after: tuple[str, int]
    min_position: int
    wait_seconds: float
