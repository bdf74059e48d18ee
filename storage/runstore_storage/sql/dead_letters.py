"""dead_letters: entries that a sink has given up on."""

from __future__ import annotations

from collections.abc import Sequence

from runstore_storage.contract.feed import DeadLetter
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system

_INSERT = system("""
    INSERT INTO dead_letters (sink, position, attempts, error, failed_at)
    SELECT :sink, l.position, l.attempts, l.error, clock_timestamp()
    FROM unnest(:positions::bigint[], :attempts::integer[], :errors::text[])
         AS l(position, attempts, error)
    ON CONFLICT ON CONSTRAINT uq_dead_letters_position DO NOTHING
""")
_PAGE = system("""
    SELECT sink, position, attempts, error, failed_at, id FROM dead_letters
    WHERE sink = :sink AND id > :after ORDER BY id LIMIT :limit
""")
_REMOVE = system("DELETE FROM dead_letters WHERE id = :id RETURNING id")


async def insert(conn: Connection, sink: str, letters: Sequence[DeadLetter]) -> None:
    """Keep letters of one sink."""
    values = {
        "sink": sink,
        "positions": [each.position for each in letters],
        "attempts": [each.attempts for each in letters],
        "errors": [each.error for each in letters],
    }
    await conn.execute(_INSERT, values)


async def page(conn: Connection, sink: str, *, limit: int, after: int) -> tuple[DeadLetter, ...]:
    """Letters of a sink, oldest first."""
    values = {"sink": sink, "limit": limit, "after": after}
    return tuple(DeadLetter(**row) for row in await conn.execute(_PAGE, values))


async def remove(conn: Connection, letter_id: int) -> bool:
    """Delete a letter; False when it is gone already."""
    return (await conn.execute(_REMOVE, {"id": letter_id})).one_or_none() is not None
