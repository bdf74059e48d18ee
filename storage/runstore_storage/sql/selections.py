"""Selections of runs in columns, as holds and policies have them."""

from __future__ import annotations

import json

from runstore_storage.contract.heads import RunStatus
from runstore_storage.contract.holds import RunSelection
from runstore_storage.database.connection import Row


def selects(by: str) -> str:
    """The condition that the columns of `by` select a run `r` with the head `x`."""
    return f"""
        ({by}.statuses = '{{}}' OR x.status = ANY({by}.statuses))
        AND ({by}.plan_id = '' OR {by}.plan_id = r.plan_id)
        AND {by}.tags <@ r.tags AND {by}.labels <@ r.labels
    """


def selection_values(where: RunSelection) -> dict[str, object]:
    """The columns' values; labels as the text of a jsonb."""
    return {
        "statuses": [int(each) for each in where.statuses],
        "plan_id": where.plan_id,
        "tags": list(where.tags),
        "labels": json.dumps(dict(where.labels)),
    }


def selection_of(row: Row) -> RunSelection:
    return RunSelection(
        tuple(RunStatus(each) for each in row["statuses"]),
        row["plan_id"],
        tuple(row["tags"]),
        json.loads(row["labels"]),
    )
