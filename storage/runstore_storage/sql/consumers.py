"""consumers: named readers of a project's feed and how far they have read."""

from __future__ import annotations

from runstore_storage.contract.feed import Consumer
from runstore_storage.contract.scope import in_scope
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import tenant

_SELECTED = """
    name, position,
    coalesce(
        (SELECT max(f.last_position) FROM feed f WHERE f.project = consumers.project), 0
    ) AS last_position,
    created_at, committed_at
"""
_COMMIT = tenant("""
    INSERT INTO consumers (project, name, position, created_at, committed_at)
    VALUES (:scope, :name, :position, clock_timestamp(), clock_timestamp())
    ON CONFLICT ON CONSTRAINT pk_consumers DO UPDATE
        SET position = excluded.position, committed_at = excluded.committed_at
        WHERE consumers.position < excluded.position OR :may_go_back
""")
_GET = tenant(f"""
    SELECT {_SELECTED} FROM consumers
    WHERE project = :project AND project = :scope AND name = :name
""")
_PAGE = tenant(f"""
    SELECT {_SELECTED} FROM consumers
    WHERE project = :project AND project = :scope AND name > :after
    ORDER BY name LIMIT :limit
""")


async def commit(
    conn: Connection, project: str, name: str, position: int, *, may_go_back: bool
) -> None:
    """Set a consumer's position, or leave a greater one as it is."""
    in_scope(project)
    values = {"name": name, "position": position, "may_go_back": may_go_back}
    await conn.execute(_COMMIT, values)


async def get(conn: Connection, project: str, name: str) -> Consumer | None:
    """One consumer."""
    row = (await conn.execute(_GET, {"project": project, "name": name})).one_or_none()
    return Consumer(**row) if row else None


async def page(conn: Connection, project: str, *, limit: int, after: str) -> tuple[Consumer, ...]:
    """Consumers by name."""
    values = {"project": project, "limit": limit, "after": after}
    return tuple(Consumer(**row) for row in await conn.execute(_PAGE, values))
