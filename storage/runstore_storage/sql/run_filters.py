"""Which runs a listing selects: conditions on runs r and their heads h."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runstore_storage.contract.runs import ExternalFilter, PinFilter, RunFilter
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import tenant

# Characters of an objective that are searched, so that no objective is too much for an index.
SEARCHED_CHARACTERS = 10_000
# Ranges of events, committed and not counted yet, that a listing by model or tool looks into.
FRESH_RANGES = 10_000

_FROM = ":updated_from::timestamptz"
_BEFORE = ":updated_before::timestamptz"
HOUR_OF = "date_trunc('hour', {}, 'UTC')"
OBJECTIVE = f"to_tsvector('simple', \"left\"(r.objective, {SEARCHED_CHARACTERS}))"

_TREE = """
    r.run IN (
        WITH RECURSIVE tree AS (
            SELECT run FROM runs WHERE project = :project AND run_id = :root_run_id
            UNION ALL SELECT child.run FROM runs child JOIN tree ON child.parent = tree.run
        ) SELECT run FROM tree
    )
"""

# Containment finds candidates by the index, but compares arrays as sets; the path compares each
# member with its own.
_HAS_PIN = """
    r.config_refs @> (:config::text::jsonb -> 'some')
    AND jsonb_path_exists(
        r.config_refs,
        'strict $[*] ? (@[0] == $kind && @[1] == $name
            && ($version == 0 || @[2] == $version) && ($digest == "" || @[3] == $digest))',
        :config::text::jsonb
    )
"""
_IS_EXTERNAL = """
    r.external_ref @> (:external::text::jsonb -> 'some')
    AND r.external_ref -> 0 = :external::text::jsonb -> 'system'
    AND (:external::text::jsonb -> 'id' = '""'
         OR r.external_ref -> 1 = :external::text::jsonb -> 'id')
"""

# Runs that used the model or tool by what has been counted, and by what `uncounted` found.
_USED = {
    "model": "EXISTS (SELECT FROM usage_counts u WHERE u.model = :model AND u.run = r.run)",
    "tool": "EXISTS (SELECT FROM usage_counts u WHERE u.tool = :tool AND u.run = r.run)",
}
_USED_LATELY = {"model": "r.run = ANY(:fresh_model)", "tool": "r.run = ANY(:fresh_tool)"}
# Few ranges are not counted: what is committed is counted within a second.
_UNCOUNTED = """
    SELECT DISTINCT e.run FROM (
        (SELECT run, first_seq, last_seq FROM outbox ORDER BY id DESC LIMIT :ranges)
        UNION ALL
        (SELECT run, first_seq, last_seq FROM feed
         WHERE project = :project AND project = :scope AND last_position > coalesce(
             (SELECT position FROM duties WHERE name = 'usage counts'), 0)
         ORDER BY last_position DESC LIMIT :ranges)
    ) AS waiting
    JOIN LATERAL (
        SELECT FROM runs WHERE run = waiting.run AND project = :scope OFFSET 0
    ) AS own ON true
    JOIN LATERAL (
        SELECT run FROM events WHERE run = waiting.run
            AND seq BETWEEN waiting.first_seq AND waiting.last_seq AND {column} = :value LIMIT 1
    ) AS e ON true
"""
_UNCOUNTED_OF_MODEL = tenant(_UNCOUNTED.format(column="model"))
_UNCOUNTED_OF_TOOL = tenant(_UNCOUNTED.format(column="tool"))


def _pin_json(pin: PinFilter) -> str:
    """What `_HAS_PIN` compares with; `some` is contained in every list that holds such a pin."""
    some = [each for each in (pin.kind, pin.name, pin.version, pin.digest) if each]
    return json.dumps(
        {
            "kind": pin.kind,
            "name": pin.name,
            "version": pin.version,
            "digest": pin.digest,
            "some": [some],
        }
    )


def _external_json(ref: ExternalFilter) -> str:
    """What `_IS_EXTERNAL` compares with."""
    some = [each for each in (ref.system, ref.id) if each]
    return json.dumps({"system": ref.system, "id": ref.id, "some": some})


def _same(value: Any) -> object:
    return value


# field of a filter -> (condition, how the parameter is made)
Conditions = Mapping[str, tuple[str, Callable[[Any], object]]]

OF_RUNS: Conditions = {
    "tags": ("r.tags @> :tags", list),
    "labels": (
        "r.labels @> :labels::text::jsonb",
        lambda many: json.dumps({**many}),
    ),
    "plan_id": ("r.plan_id = :plan_id", str),
}
_CONDITIONS: Conditions = {
    **OF_RUNS,
    "statuses": ("h.status = ANY(:statuses)", lambda many: [int(each) for each in many]),
    "any_tags": ("r.tags && :any_tags", list),
    "created_from": ("r.created_at >= :created_from", _same),
    "created_before": ("r.created_at < :created_before", _same),
    "updated_from": (
        f"h.updated_at >= {_FROM} AND h.updated_hour >= {HOUR_OF.format(_FROM)}",
        _same,
    ),
    "updated_before": (
        f"h.updated_at < {_BEFORE} AND h.updated_hour <= {HOUR_OF.format(_BEFORE)}",
        _same,
    ),
    "completed_from": ("h.completed_at >= :completed_from", _same),
    "completed_before": ("h.completed_at < :completed_before", _same),
    "parent_run_id": (
        "r.parent = (SELECT run FROM runs WHERE project = :project AND run_id = :parent_run_id)",
        str,
    ),
    "root_run_id": (_TREE, str),
    "config": (_HAS_PIN, _pin_json),
    "external": (_IS_EXTERNAL, _external_json),
    "text": (f"{OBJECTIVE} @@ websearch_to_tsquery('simple', :text)", str),
}
# Heads repeat their run's project, for filters that the indexes of heads serve. With any other
# filter this condition would have the planner read the heads of the whole project.
HEADS_OF_PROJECT = "h.project = :project"
_OF_HEADS = (
    "statuses",
    "updated_from",
    "updated_before",
    "completed_from",
    "completed_before",
)


def conditions(
    project: str, where: RunFilter, fresh: Mapping[str, Sequence[int]]
) -> tuple[list[str], dict[str, object]]:
    """Conditions and the values of their parameters; `fresh` is what `uncounted` found."""
    values: dict[str, object] = {"project": project}
    wanted = ["r.project = :project", "r.project = :scope", *asked_of(_CONDITIONS, where, values)]
    if any(getattr(where, name) for name in _OF_HEADS):
        wanted.append(HEADS_OF_PROJECT)
    for name, condition in _USED.items():
        if asked := getattr(where, name):
            values[name] = asked
            lately = fresh.get(name)
            if lately:
                values[f"fresh_{name}"] = list(lately)
            wanted.append(f"({condition} OR {_USED_LATELY[name]})" if lately else condition)
    return wanted, values


def asked_of(known: Conditions, where: object, values: dict[str, object]) -> list[str]:
    """The conditions of those fields of `where` that are set; adds the values they compare with."""
    wanted = []
    for name, (condition, parameter) in known.items():
        if asked := getattr(where, name):
            wanted.append(condition)
            values[name] = parameter(asked)
    return wanted


async def uncounted(conn: Connection, project: str, where: RunFilter) -> dict[str, Sequence[int]]:
    """Runs with events of the filter's model or tool that no usage count includes yet.

    Read it before the listing: what is counted in between is then found twice and not missed.
    """
    found: dict[str, Sequence[int]] = {}
    used = (("model", where.model, _UNCOUNTED_OF_MODEL), ("tool", where.tool, _UNCOUNTED_OF_TOOL))
    for name, asked, uncounted_runs in used:
        if asked:
            values = {"project": project, "ranges": FRESH_RANGES, "value": asked}
            found[name] = (await conn.execute(uncounted_runs, values)).scalars()
    return found
