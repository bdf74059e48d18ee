"""objects: contents in the object store, each kept once a project."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runstore_storage.contract.scope import in_scope
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system, tenant

_FIND = tenant("""
    SELECT object, sha256, size, location FROM objects
    WHERE project = :project AND project = :scope AND sha256 = :sha256
""")
_INSERT = tenant("""
    INSERT INTO objects (project, sha256, size, location, created_at)
    VALUES (:scope, :sha256, :size, :location, clock_timestamp())
    ON CONFLICT ON CONSTRAINT uq_objects_sha256 DO NOTHING
    RETURNING object, sha256, size, location
""")


# Who records a content shares its lock; who removes one has it alone. Taken in one order.
_LOCK = """
    SELECT pg_advisory_xact_lock{shared}(hashtextextended(
        current_schema() || '/objects/' || project || '/' || encode(sha256, 'hex'), 0))
"""
_LOCK_SHARED = tenant(
    _LOCK.format(shared="_shared")
    + "FROM (SELECT :project::text AS project, :sha256::bytea AS sha256) AS asked"
    " WHERE project = :scope"
)
_LOCK_ALONE = system(
    _LOCK.format(shared="")
    + "FROM (SELECT * FROM objects WHERE object = ANY(:objects::bigint[]) ORDER BY object) AS asked"
)
_REMOVE_UNUSED = system("""
    DELETE FROM objects o WHERE object = ANY(:objects::bigint[])
        AND NOT EXISTS (SELECT FROM artifacts a WHERE a.object = o.object)
    RETURNING location
""")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A row: its number, and the hash, size and location of the bytes."""

    object: int
    sha256: bytes
    size: int
    location: str


async def find(conn: Connection, project: str, sha256: bytes) -> StoredObject | None:
    """The object that holds this content."""
    found = await conn.execute(_FIND, {"project": project, "sha256": sha256})
    row = found.one_or_none()
    return StoredObject(**row) if row else None


async def lock(conn: Connection, project: str, sha256: bytes) -> None:
    """Keep the object that holds this content, if there is one, until the transaction ends."""
    in_scope(project)
    await conn.execute(_LOCK_SHARED, {"project": project, "sha256": sha256})


async def ensure(
    conn: Connection, project: str, *, sha256: bytes, size: int, location: str
) -> StoredObject:
    """Record an object at a key that is used for the first time, or return the one that holds this
    content already, which is locked.
    """
    in_scope(project)
    values = {"sha256": sha256, "size": size, "location": location}
    row = (await conn.execute(_INSERT, values)).one_or_none()
    stored = StoredObject(**row) if row else await find(conn, project, sha256)
    assert stored, "a conflicting row is committed, and the lock keeps it"
    return stored


async def remove_unused(conn: Connection, numbers: Iterable[int | None]) -> list[str]:
    """Delete those of the objects that no artifact names; where their bytes are."""
    named = sorted({number for number in numbers if number is not None})
    await conn.execute(_LOCK_ALONE, {"objects": named})
    return (await conn.execute(_REMOVE_UNUSED, {"objects": named})).scalars()
