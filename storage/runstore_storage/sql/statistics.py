"""usage_counts, summed over a selection of runs and events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runstore_storage.contract.statistics import (
    ANSWER_WORDS,
    ERROR_WORDS,
    Dimension,
    StatisticsFilter,
    StatisticsQuery,
    StatisticsRow,
)
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import tenant
from runstore_storage.sql import scopes
from runstore_storage.sql.columns import USAGE, bounded, usage_of
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


def _total(sql: str, name: str) -> str:
    """A sum as it is returned: 0 where there is nothing."""
    return f"{bounded(name, f'coalesce({sql}, 0)')} AS {name}"


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

_SUMS_OF_RUN = ", ".join(f"{sql} AS {name}" for name, sql in _SUMS.items())
_CHOSEN = f"""
    SELECT r.run, r.run_id, coalesce(r.labels ->> :label_key::text, '') AS label
    FROM runs r WHERE {scopes.IS_THERE} AND {{of_runs}}
"""
# Each chosen run with the run_id of its topmost ancestor. Most runs have no parent; they are
# selected separately, so that the planner knows it.
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
# Each run is summed by itself first, so that the outer query counts runs by counting rows.
_PAGE = f"""
    SELECT {{keys}} {", ".join(_total(f"sum(u.{name})", name) for name in _SUMS)}, count(*) AS runs
    FROM (
        SELECT {{key_columns}} u.run, {_SUMS_OF_RUN}
        FROM ({{chosen}}) AS c JOIN usage_counts u ON u.run = c.run
        {{of_counts}} GROUP BY {{keys}} u.run
    ) AS u {{after}} {{grouped}} LIMIT :limit
"""
# Grouped by run, only the runs on the page have to be summed: they are read in order until it is
# full.
_PAGE_BY_RUN = f"""
    SELECT {{keys}} {", ".join(_total(f"u.{name}", name) for name in _SUMS)}, 1 AS runs
    FROM (
        SELECT c.run_id COLLATE "C" AS k0, u.* FROM ({{chosen}}) AS c JOIN LATERAL (
            SELECT {{other_columns}} {_SUMS_OF_RUN}
            FROM usage_counts u WHERE u.run = c.run {{and_counts}}
            {{other_groups}} HAVING count(*) > 0
        ) AS u ON true {{from_run}}
    ) AS u {{after}} ORDER BY {{order}} LIMIT :limit
"""


async def page(
    conn: Connection,
    project: str,
    query: StatisticsQuery,
    *,
    limit: int,
    after: Sequence[str] | None,
) -> list[StatisticsRow]:
    """Groups in the order of their keys, those after the keys `after`."""
    order = sorted(query.group_by, key=lambda each: each is not Dimension.RUN)
    values: dict[str, object] = {
        "project": project,
        "label_key": query.label_key,
        "limit": limit,
        "error_words": list(ERROR_WORDS),
        "answer_words": list(ANSWER_WORDS),
    }
    if after is not None:
        for name, dimension in _keys(order).items():
            values[f"after_{name}"] = after[query.group_by.index(dimension)]
    by_run = Dimension.RUN in order and not query.roll_up
    sql = (_by_run if by_run else _added_up)(query, order, after is not None, values)
    names = [f"k{order.index(each)}" for each in query.group_by]
    return [_row(row, names) for row in await conn.execute(tenant(sql), values)]


def _added_up(
    query: StatisticsQuery,
    order: Sequence[Dimension],
    continued: bool,
    values: dict[str, object],
) -> str:
    """The statement that sums everything selected."""
    names = list(_keys(order))
    of_counts = asked_of(_OF_COUNTS, query.where, values)
    chosen = _ROLLED_UP if query.roll_up and Dimension.RUN in order else _CHOSEN
    return _PAGE.format(
        keys="".join(f"{name}, " for name in names),
        key_columns=_columns(_keys(order)),
        chosen=chosen.format(of_runs=_of_runs(query.where, values)),
        of_counts=f"WHERE {' AND '.join(of_counts)}" if of_counts else "",
        after=_after(names) if continued else "",
        grouped=f"GROUP BY {', '.join(names)} ORDER BY {', '.join(names)}" if names else "",
    )


def _by_run(
    query: StatisticsQuery,
    order: Sequence[Dimension],
    continued: bool,
    values: dict[str, object],
) -> str:
    """The statement that reads the runs in order; the first dimension is RUN."""
    names = list(_keys(order))
    others = {name: each for name, each in _keys(order).items() if each is not Dimension.RUN}
    return _PAGE_BY_RUN.format(
        keys="".join(f"{name}, " for name in names),
        chosen=_CHOSEN.format(of_runs=_of_runs(query.where, values)),
        other_columns=_columns(others),
        and_counts="".join(f" AND {each}" for each in asked_of(_OF_COUNTS, query.where, values)),
        other_groups=f"GROUP BY {', '.join(others)}" if others else "",
        from_run="WHERE c.run_id >= :after_k0" if continued else "",
        after=_after(names) if continued else "",
        order=", ".join(names),
    )


def _keys(order: Sequence[Dimension]) -> dict[str, Dimension]:
    """The names of the columns that the dimensions become."""
    return {f"k{number}": dimension for number, dimension in enumerate(order)}


def _columns(keys: Mapping[str, Dimension]) -> str:
    return "".join(f'{_KEYS[each]} COLLATE "C" AS {name}, ' for name, each in keys.items())


def _after(names: Sequence[str]) -> str:
    """The condition on groups after the last page's."""
    keys = ", ".join(f"u.{name}" for name in names)
    return f"WHERE ({keys}) > ({', '.join(f':after_{name}::text' for name in names)})"


def _of_runs(where: StatisticsFilter, values: dict[str, object]) -> str:
    conditions = ["r.project = :project", "r.project = :scope", *asked_of(OF_RUNS, where, values)]
    if where.run_ids:
        conditions.append(_TREE if where.with_descendants else "r.run_id = ANY(:run_ids)")
        values["run_ids"] = list(where.run_ids)
    return " AND ".join(conditions)


def _row(row: Row, names: Sequence[str]) -> StatisticsRow:
    return StatisticsRow(
        tuple(row[name] for name in names),
        row["events"],
        row["errors"],
        row["tool_calls"],
        row["runs"],
        usage_of(row),
    )
