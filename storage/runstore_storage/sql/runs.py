"""runs: what a run is at birth, joined with its head where it is read."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from runstore_storage import chain
from runstore_storage.chain import Salt
from runstore_storage.contract.configs import ConfigRef
from runstore_storage.contract.errors import RunNotFound
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import (
    ExternalRef,
    ForkBase,
    NewRun,
    Run,
    RunCursor,
    RunFilter,
    RunOrder,
)
from runstore_storage.contract.scope import in_scope
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import system, tenant
from runstore_storage.sql import heads, run_filters, scopes
from runstore_storage.sql.columns import payload_columns, payload_of
from runstore_storage.sql.heads import Ancestor, Head

_INSERT = tenant("""
    INSERT INTO runs (project, run_id, plan_id, objective, plan_json, plan_binary, plan_type,
                      parent, external_ref, config_refs, tags, labels, subjects, salt,
                      body_hash, fork_parent, fork_seq, lineage, created_at)
    VALUES (:scope, :run_id, :plan_id, :objective, :plan_json::text::json, :plan_binary,
            :plan_type, :parent, :external_ref::text::jsonb, :config_refs::text::jsonb, :tags,
            :labels::text::jsonb, :subjects, :salt, :body_hash, :fork_parent, :fork_seq,
            :lineage::text::jsonb, clock_timestamp())
    ON CONFLICT ON CONSTRAINT uq_runs_project_run_id DO NOTHING
    RETURNING run, created_at
""")

_SELECTED = f"""
    r.project, r.run_id, r.plan_id, r.objective, r.external_ref::text, r.config_refs::text, r.tags,
    r.labels::text, r.subjects, r.salt, r.created_at, coalesce(p.run_id, '') AS parent_run_id,
    f.run_id AS fork_run_id, r.fork_seq, {heads.SELECTED}
"""
SELECTED_WITH_PLAN = f"{_SELECTED}, r.plan_json::text, r.plan_binary, r.plan_type"
"""What `run_of` reads."""
JOINED = """
    runs r
    JOIN run_heads h ON h.run = r.run
    LEFT JOIN runs p ON p.run = r.parent
    LEFT JOIN runs f ON f.run = r.fork_parent
"""
_GET = tenant(f"""
    SELECT {SELECTED_WITH_PLAN} FROM {JOINED}
    WHERE r.project = :project AND {scopes.ASKED_FOR} AND r.run_id = :run_id
""")
_GET_MANY = tenant(f"""
    SELECT {SELECTED_WITH_PLAN} FROM {JOINED} WHERE r.run = ANY(:runs) AND r.project = :scope
""")
_PAGE = f"""
    SELECT {_SELECTED} FROM {JOINED}
    WHERE {{conditions}} ORDER BY {{keys}} LIMIT :limit OFFSET :offset
"""
_IDENTITY = tenant("""
    SELECT run, salt, body_hash FROM runs
    WHERE project = :project AND project = :scope AND run_id = :run_id
""")
# What a run has of its head.
_OF_HEAD = (
    "status",
    "outcome",
    "last_seq",
    "last_hash",
    "writer_epoch",
    "usage",
    "updated_at",
    "completed_at",
)
_CLOCK = system("SELECT clock_timestamp()")


@dataclass(frozen=True, slots=True)
class Ordering:
    """How a listing is sorted, and the condition that selects what comes after a cursor."""

    columns: tuple[str, ...]
    cursor: tuple[str, ...]
    """The cursor's value for each of the columns."""
    is_ascending: bool
    condition: str = ""

    @property
    def keys(self) -> str:
        """What follows ORDER BY."""
        direction = "ASC" if self.is_ascending else "DESC"
        return ", ".join(f"{column} {direction}" for column in self.columns)

    @property
    def after_cursor(self) -> str:
        """The condition."""
        compare = ">" if self.is_ascending else "<"
        return f"({', '.join(self.columns)}) {compare} ({', '.join(self.cursor)})"


def _orderings() -> dict[RunOrder, Ordering]:
    at, run = ":after_at::timestamptz", ":after_run::bigint"
    created = ("r.created_at", "r.run"), (at, run)
    # The hour comes first because it is what is indexed: appends within it leave it as it is while
    # they move updated_at, so they stay HOT. Only the runs of one hour are sorted.
    updated = (
        ("h.updated_hour", "h.updated_at", "h.run"),
        (run_filters.HOUR_OF.format(at), at, run),
    )
    completed = ("h.completed_at", "h.run"), (at, run)
    of_project = run_filters.HEADS_OF_PROJECT
    ended = f"{of_project} AND h.completed_at IS NOT NULL"
    return {
        RunOrder.CREATED_DESC: Ordering(*created, False),
        RunOrder.CREATED_ASC: Ordering(*created, True),
        RunOrder.UPDATED_DESC: Ordering(*updated, False, of_project),
        RunOrder.UPDATED_ASC: Ordering(*updated, True, of_project),
        RunOrder.COMPLETED_DESC: Ordering(*completed, False, ended),
        RunOrder.COMPLETED_ASC: Ordering(*completed, True, ended),
    }


_ORDERINGS = _orderings()


@dataclass(frozen=True, slots=True)
class Inserted:
    run: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Identity:
    """A run's number, and the salted hash of the request that made it; empty of a deleted run."""

    run: int
    salt: Salt
    body_hash: bytes

    @property
    def was_deleted(self) -> bool:
        return not self.body_hash

    def is_of(self, request_hash: bytes) -> bool:
        """Whether it was made by the request of this hash."""
        return self.body_hash == chain.salted_hash(request_hash, self.salt)


async def insert(
    conn: Connection,
    new: NewRun,
    *,
    parent: int | None,
    body_hash: bytes,
    fork_parent: int | None = None,
    lineage: Sequence[Ancestor] = (),
) -> Inserted | None:
    """Create a run; None when the project has one of that id.

    Raise `ScopeMismatch` for another project than the scope's.
    """
    in_scope(new.project)
    plan_json, plan_binary, plan_type = payload_columns(new.plan)
    found = await conn.execute(
        _INSERT,
        {
            "run_id": new.run_id,
            "plan_id": new.plan_id,
            "objective": new.objective,
            "plan_json": plan_json,
            "plan_binary": plan_binary,
            "plan_type": plan_type,
            "parent": parent,
            "external_ref": _external_ref_json(new.external_ref),
            "config_refs": json.dumps(
                [[ref.kind, ref.name, ref.version, ref.digest] for ref in new.config_refs]
            ),
            "tags": list(new.tags),
            "labels": json.dumps(dict(new.labels)),
            "subjects": list(new.subjects) or None,
            "salt": new.salt,
            "body_hash": chain.salted_hash(body_hash, new.salt),
            "fork_parent": fork_parent,
            "fork_seq": new.fork_base.seq if new.fork_base else None,
            "lineage": heads.lineage_json(lineage) if lineage else None,
        },
    )
    row = found.one_or_none()
    return Inserted(**row) if row else None


async def identity(conn: Connection, key: RunKey) -> Identity | None:
    """What the run is known by, also one that was deleted."""
    found = await conn.execute(_IDENTITY, {"project": key.project, "run_id": key.run_id})
    row = found.one_or_none()
    return Identity(**row) if row else None


async def number(conn: Connection, key: RunKey) -> int:
    """The number of a run that is there, or raise `RunNotFound`."""
    found = await identity(conn, key)
    if found is None or found.was_deleted:
        raise RunNotFound(key, was_deleted=found is not None)
    return found.run


async def get(conn: Connection, key: RunKey) -> Run:
    """The run with its plan, or raise `RunNotFound`."""
    found = await conn.execute(_GET, {"project": key.project, "run_id": key.run_id})
    row = found.one_or_none()
    if row is None:
        raise RunNotFound(key)
    return run_of(row)


async def get_many(conn: Connection, numbers: Collection[int]) -> dict[int, Run]:
    """Runs with their plans, by number."""
    found = await conn.execute(_GET_MANY, {"runs": list(numbers)})
    return {row["run"]: run_of(row) for row in found}


async def page(
    conn: Connection,
    project: str,
    where: RunFilter,
    order: RunOrder,
    *,
    limit: int,
    after: RunCursor | None,
    offset: int,
    fresh: Mapping[str, Sequence[int]],
) -> list[tuple[int, Run]]:
    """Runs without plans beside their numbers, in order; `fresh` as of `run_filters`."""
    conditions, values = run_filters.conditions(project, where, fresh)
    ordering = _ORDERINGS[order]
    conditions += [ordering.condition] if ordering.condition else []
    if after is not None:
        conditions.append(ordering.after_cursor)
        values |= {"after_at": after.at, "after_run": after.run}
        if after.as_of is not None:
            conditions.append("h.updated_at <= :as_of")
            values["as_of"] = after.as_of
    sql = _PAGE.format(conditions=" AND ".join(conditions), keys=ordering.keys)
    found = await conn.execute(tenant(sql), values | {"limit": limit, "offset": offset})
    return [(row["run"], _run(row, plan=None)) for row in found]


async def clock(conn: Connection) -> datetime:
    """The database's time."""
    now: datetime = (await conn.execute(_CLOCK)).scalar_one()
    return now


def run_of(row: Row) -> Run:
    """The run of a row with the columns of `SELECTED_WITH_PLAN`."""
    return _run(row, payload_of(row, "plan"))


def _run(row: Row, plan: Payload | None) -> Run:
    head = heads.head_of(row)
    external_ref = row["external_ref"]
    return Run(
        born=NewRun(
            project=row["project"],
            run_id=row["run_id"],
            plan_id=row["plan_id"],
            objective=row["objective"],
            plan=plan,
            parent_run_id=row["parent_run_id"],
            external_ref=ExternalRef(*json.loads(external_ref)) if external_ref else None,
            config_refs=tuple(ConfigRef(*each) for each in json.loads(row["config_refs"])),
            tags=tuple(row["tags"]),
            labels=json.loads(row["labels"]),
            subjects=tuple(row["subjects"] or ()),
            salt=row["salt"],
            fork_base=ForkBase(row["fork_run_id"], row["fork_seq"]) if row["fork_run_id"] else None,
        ),
        created_at=row["created_at"],
        **_standing(head),
    )


def at(run: Run, head: Head) -> Run:
    """The run as it stands with another head."""
    return replace(run, **_standing(head))


def _standing(head: Head) -> dict[str, Any]:
    return {name: getattr(head, name) for name in _OF_HEAD}


def _external_ref_json(ref: ExternalRef | None) -> str | None:
    return json.dumps([ref.system, ref.id, ref.url, ref.owns_status]) if ref else None
