"""policies: how long what is kept of which runs."""

from __future__ import annotations

from runstore_storage.contract.retention import Keep, KeptPolicy, Policy
from runstore_storage.contract.scope import in_scope
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import system, tenant
from runstore_storage.sql.access import principal_json, principal_of
from runstore_storage.sql.selections import selection_of, selection_values

_KEEP = (
    "keep_events, keep_snapshots, keep_last_snapshots, keep_artifacts, keep_search_text, keep_run"
)
COLUMNS = f"name, statuses, plan_id, tags, labels, {_KEEP}, includes_external"
"""The columns of a policy itself."""
GIVEN = """
    :name::text, :statuses::smallint[], :plan_id::text, :tags::text[], :labels::text::jsonb,
    :keep_events::interval, :keep_snapshots::interval, :keep_last_snapshots::integer,
    :keep_artifacts::interval, :keep_search_text::interval, :keep_run::interval,
    :includes_external::boolean
"""
"""The same of `values_of`."""

_PUT = tenant(f"""
    INSERT INTO policies (project, {COLUMNS}, put_by, put_at)
    VALUES (:scope, {GIVEN}, :put_by::text::jsonb, :put_at)
    ON CONFLICT ON CONSTRAINT pk_policies DO UPDATE SET ({COLUMNS}, put_by, put_at) = (
        {", ".join(f"excluded.{name}" for name in COLUMNS.split(", "))},
        excluded.put_by, excluded.put_at)
""")
_DELETE = tenant("""
    DELETE FROM policies WHERE project = :project AND project = :scope AND name = :name
    RETURNING name
""")
_PAGE = tenant(f"""
    SELECT name, statuses, plan_id, tags, labels::text, {_KEEP}, includes_external, put_by::text,
        put_at
    FROM policies WHERE project = :project AND project = :scope AND name > :after
    ORDER BY name LIMIT :limit
""")
_NEXT_PROJECT = system("SELECT min(project) FROM policies WHERE project > :after")


def values_of(policy: Policy) -> dict[str, object]:
    """What `GIVEN` reads."""
    keep = policy.keep
    return {
        "name": policy.name,
        **selection_values(policy.where),
        "keep_events": keep.events,
        "keep_snapshots": keep.snapshots,
        "keep_last_snapshots": keep.last_snapshots,
        "keep_artifacts": keep.artifacts,
        "keep_search_text": keep.search_text,
        "keep_run": keep.run,
        "includes_external": policy.includes_external,
    }


async def put(conn: Connection, project: str, kept: KeptPolicy) -> None:
    """Put a policy in place of the one of its name.

    Raise `ScopeMismatch` for another project than the scope's.
    """
    in_scope(project)
    put_by = principal_json(kept.put_by)
    values = values_of(kept.policy) | {"put_by": put_by, "put_at": kept.put_at}
    await conn.execute(_PUT, values)


async def delete(conn: Connection, project: str, name: str) -> bool:
    """End a policy; False where there is none."""
    values = {"project": project, "name": name}
    return (await conn.execute(_DELETE, values)).one_or_none() is not None


async def page(conn: Connection, project: str, *, limit: int, after: str) -> list[KeptPolicy]:
    """Policies by name."""
    values = {"project": project, "limit": limit, "after": after}
    return [_policy(row) for row in await conn.execute(_PAGE, values)]


async def next_project(conn: Connection, after: str) -> str | None:
    """The next project that has policies."""
    found: str | None = (await conn.execute(_NEXT_PROJECT, {"after": after})).scalar_one()
    return found


def _policy(row: Row) -> KeptPolicy:
    keep = Keep(
        events=row["keep_events"],
        snapshots=row["keep_snapshots"],
        last_snapshots=row["keep_last_snapshots"],
        artifacts=row["keep_artifacts"],
        search_text=row["keep_search_text"],
        run=row["keep_run"],
    )
    return KeptPolicy(
        Policy(row["name"], keep, selection_of(row), row["includes_external"]),
        put_by=principal_of(row["put_by"]),
        put_at=row["put_at"],
    )
