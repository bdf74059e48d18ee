"""usage_counts, added up over a selection of runs and events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runstore_storage.contract.events import Usage
from runstore_storage.contract.statistics import (
    ANSWER_WORDS,
    ERROR_WORDS,
    Dimension,
    StatisticsFilter,
    StatisticsQuery,
    StatisticsRow,
)
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import composed
from runstore_storage.sql.columns import USAGE
from runstore_storage.sql.run_filters import OF_RUNS, Conditions, asked_of

_LAST_WORD = "split_part(u.type, '.', -1)"
_SUMS = {
    "events": "sum(u.events)",
    "errors": f"sum(u.events) FILTER (WHERE {_LAST_WORD} = ANY(:error_words))",
    "tool_calls": (
        f"sum(u.events) FILTER (WHERE u.tool <> '' AND {_LAST_WORD} <> ALL(:answer_words))"
    ),
    **{name: f"sum(u.{name})" for name in USAGE},
}
_MAX = 2**63 - 1

_KEYS = {
    Dimension.RUN: "c.run_id",
    Dimension.NODE: "u.node_id",
    Dimension.MODEL: "u.model",
    Dimension.TOOL: "u.tool",
    Dimension.TYPE: "u.type",
    Dimension.DAY: "to_char(u.day, 'YYYY-MM-DD')",
    Dimension.LABEL: "c.label",
}

_TREE = """
    r.run IN (
        WITH RECURSIVE tree AS (
            SELECT run FROM runs WHERE project = :project AND run_id = ANY(:run_ids)
            UNION SELECT child.run FROM runs child JOIN tree ON child.parent = tree.run
        ) SELECT run FROM tree
    )
"""
_OF_COUNTS: Conditions = {
    "types": ("u.type = ANY(:types)", list),
    "models": ("u.model = ANY(:models)", list),
    "tools": ("u.tool = ANY(:tools)", list),
    "node_ids": ("u.node_id = ANY(:node_ids)", list),
    "from_day": ("u.day >= :from_day", lambda day: day),
    "to_day": ("u.day <= :to_day", lambda day: day),
}

_CHOSEN = """
    SELECT r.run, r.run_id, coalesce(r.labels ->> CAST(:label_key AS text), '') AS label
    FROM runs r WHERE {of_runs}
"""
# Each chosen run beside the name of its topmost ancestor. Those that have none above them are most,
# and stand apart so that the planner knows it.
_ROLLED_UP = f"""
    {_CHOSEN} AND r.parent IS NULL
    UNION ALL
    SELECT climb.run, top.run_id, climb.label FROM (
        WITH RECURSIVE chosen AS (
            {_CHOSEN} AND r.parent IS NOT NULL
        ), climb (run, label, at) AS (
            SELECT run, label, run FROM chosen
            UNION ALL
            SELECT climb.run, climb.label, at.parent FROM climb JOIN runs at ON at.run = climb.at
            WHERE at.parent IS NOT NULL
        ) SELECT run, label, at FROM climb
    ) AS climb JOIN runs top ON top.run = climb.at AND top.parent IS NULL
"""
# First each run by itself, so that counting runs is counting rows.
_PAGE = """
    SELECT {keys} {sums}, count(*) FROM (
        SELECT {key_columns} u.run, {run_sums}
        FROM ({chosen}) AS c JOIN usage_counts u ON u.run = c.run
        {of_counts} GROUP BY {keys} u.run
    ) AS u {behind} {grouped} LIMIT :limit
"""
# By run nothing has to be added up but what a page shows: runs are read in order until it is full.
_PAGE_BY_RUN = """
    SELECT {keys} {sums}, 1 FROM (
        SELECT c.run_id COLLATE "C" AS k0, u.* FROM ({chosen}) AS c JOIN LATERAL (
            SELECT {other_columns} {run_sums}
            FROM usage_counts u WHERE u.run = c.run {and_counts}
            {other_groups} HAVING count(*) > 0
        ) AS u ON true {from_run}
    ) AS u {behind} ORDER BY {order} LIMIT :limit
"""


async def page(
    conn: Connection,
    project: str,
    query: StatisticsQuery,
    *,
    limit: int,
    after: Sequence[str] | None,
) -> list[StatisticsRow]:
    """Groups in order, from behind the keys `after` on."""
    order = sorted(query.group_by, key=lambda each: each is not Dimension.RUN)
    values: dict[str, object] = {
        "project": project,
        "label_key": query.label_key,
        "limit": limit,
        "error_words": list(ERROR_WORDS),
        "answer_words": list(ANSWER_WORDS),
    }
    for place, dimension in enumerate(order if after else ()):
        values[f"after{place}"] = (after or ())[query.group_by.index(dimension)]
    by_run = Dimension.RUN in order and not query.roll_up
    sql = (_by_run if by_run else _added_up)(query, order, after is not None, values)
    found = await conn.execute(composed(sql), values)
    places = [order.index(each) for each in query.group_by]
    return [_row(row, places) for row in found]


def _added_up(
    query: StatisticsQuery, order: Sequence[Dimension], goes_on: bool, values: dict[str, object]
) -> str:
    """The statement that adds up everything selected."""
    names = [f"k{place}" for place in range(len(order))]
    of_counts = asked_of(_OF_COUNTS, query.where, values)
    template = _ROLLED_UP if query.roll_up and Dimension.RUN in order else _CHOSEN
    return _PAGE.format(
        keys="".join(f"{name}, " for name in names),
        key_columns=_columns(order),
        sums=", ".join(f"least(coalesce(sum(u.{name}), 0), {_MAX})::bigint" for name in _SUMS),
        run_sums=_run_sums(),
        chosen=template.format(of_runs=_of_runs(query.where, values)),
        of_counts=f"WHERE {' AND '.join(of_counts)}" if of_counts else "",
        behind=_behind(names) if goes_on else "",
        grouped=f"GROUP BY {', '.join(names)} ORDER BY {', '.join(names)}" if names else "",
    )


def _by_run(
    query: StatisticsQuery, order: Sequence[Dimension], goes_on: bool, values: dict[str, object]
) -> str:
    """The statement that goes through the runs in order; the first dimension is RUN."""
    names = [f"k{place}" for place in range(len(order))]
    others = ", ".join(names[1:])
    return _PAGE_BY_RUN.format(
        keys="".join(f"{name}, " for name in names),
        sums=", ".join(f"least(coalesce(u.{name}, 0), {_MAX})::bigint" for name in _SUMS),
        chosen=_CHOSEN.format(of_runs=_of_runs(query.where, values)),
        other_columns=_columns(order, first=1),
        run_sums=_run_sums(),
        and_counts="".join(f" AND {each}" for each in asked_of(_OF_COUNTS, query.where, values)),
        other_groups=f"GROUP BY {others}" if others else "",
        from_run="WHERE c.run_id >= :after0" if goes_on else "",
        behind=_behind(names) if goes_on else "",
        order=", ".join(names),
    )


def _columns(order: Sequence[Dimension], *, first: int = 0) -> str:
    return "".join(
        f'{_KEYS[dimension]} COLLATE "C" AS k{place}, '
        for place, dimension in enumerate(order)
        if place >= first
    )


def _run_sums() -> str:
    return ", ".join(f"{expression} AS {name}" for name, expression in _SUMS.items())


def _behind(names: Sequence[str]) -> str:
    places = ", ".join(f"CAST(:after{place} AS text)" for place in range(len(names)))
    return f"WHERE ({', '.join(f'u.{name}' for name in names)}) > ({places})"


def _of_runs(where: StatisticsFilter, values: dict[str, object]) -> str:
    conditions = ["r.project = :project", *asked_of(OF_RUNS, where, values)]
    if where.run_ids:
        conditions.append(_TREE if where.with_descendants else "r.run_id = ANY(:run_ids)")
        values["run_ids"] = list(where.run_ids)
    return " AND ".join(conditions)


def _row(row: Sequence[Any], places: Sequence[int]) -> StatisticsRow:
    events, errors, tool_calls, *usage, runs = row[len(places) :]
    return StatisticsRow(
        tuple(row[place] for place in places), events, errors, tool_calls, runs, Usage(*usage)
    )
