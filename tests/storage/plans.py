"""What Postgres reads for a statement."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import Statement


async def rows_read(
    conn: Connection, given: Statement, values: Mapping[str, object], *, of: str = ""
) -> float:
    """Execute a statement; the most rows that a node of its plan goes through.

    With `of` only nodes that read this table or its partitions count: of a table that other tests
    have left small, the planner rather reads everything.
    """
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {given.sql}"
    (found,) = await conn.driver.fetch(explain, *given.arguments(values))
    return max(_rows(json.loads(found[0])[0]["Plan"], of))


def _rows(plan: dict[str, Any], of: str) -> Iterator[float]:
    filtered = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Join Filter", 0)
    if plan.get("Relation Name", "").startswith(of):
        yield (plan["Actual Rows"] + filtered) * plan["Actual Loops"]
    for each in plan.get("Plans", ()):
        yield from _rows(each, of)
