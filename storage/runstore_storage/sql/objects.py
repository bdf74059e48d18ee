"""objects: contents in the object store, each kept once a project."""

from __future__ import annotations

from dataclasses import dataclass

from runstore_storage.contract.scope import in_scope
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import tenant

_FIND = tenant("""
    SELECT object, size, location FROM objects
    WHERE project = :project AND project = :scope AND sha256 = :sha256
""")
_INSERT = tenant("""
    INSERT INTO objects (project, sha256, size, location, created_at)
    VALUES (:scope, :sha256, :size, :location, clock_timestamp())
    ON CONFLICT ON CONSTRAINT uq_objects_sha256 DO NOTHING
    RETURNING object, size, location
""")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A row: its number, and the size and location of the bytes."""

    object: int
    size: int
    location: str


async def find(conn: Connection, project: str, sha256: bytes) -> StoredObject | None:
    """The object that holds this content."""
    found = await conn.execute(_FIND, {"project": project, "sha256": sha256})
    row = found.one_or_none()
    return StoredObject(**row) if row else None


async def ensure(
    conn: Connection, project: str, *, sha256: bytes, size: int, location: str
) -> StoredObject:
    """Record an object, or return the one that holds this content already."""
    in_scope(project)
    values = {"sha256": sha256, "size": size, "location": location}
    row = (await conn.execute(_INSERT, values)).one_or_none()
    stored = StoredObject(**row) if row else await find(conn, project, sha256)
    assert stored, "a conflicting row is committed and never deleted"
    return stored
