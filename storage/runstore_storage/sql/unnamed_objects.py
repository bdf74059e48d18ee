"""unnamed_objects: what removals left in the object store without a row that names it."""

from __future__ import annotations

from collections.abc import Sequence

from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system

_NOTE = system("""
    INSERT INTO unnamed_objects (removal, location)
    SELECT :removal::bigint, location FROM unnest(:locations::text[]) AS gone(location)
    ON CONFLICT ON CONSTRAINT pk_unnamed_objects DO NOTHING
""")
_PAGE = system("""
    SELECT location FROM unnamed_objects WHERE removal = :removal ORDER BY location LIMIT :most
""")
_FORGET = system("""
    DELETE FROM unnamed_objects WHERE removal = :removal AND location = ANY(:locations::text[])
""")


async def note(conn: Connection, removal: int, locations: Sequence[str]) -> None:
    """Note objects that no row names any more, to be removed from the store."""
    await conn.execute(_NOTE, {"removal": removal, "locations": list(locations)})


async def page(conn: Connection, removal: int, *, most: int) -> list[str]:
    """Objects that were noted so and not forgotten."""
    return (await conn.execute(_PAGE, {"removal": removal, "most": most})).scalars()


async def forget(conn: Connection, removal: int, locations: Sequence[str]) -> None:
    """Forget objects that were removed from the store."""
    await conn.execute(_FORGET, {"removal": removal, "locations": list(locations)})
