"""What is in the files of tables and indexes, as Postgres has written them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import asyncpg

PAGE = 8192
_HEADER = 24
# Every table of the schema with its TOAST table, and every index of these.
_RELATIONS = """
    WITH mine AS (
        SELECT oid, reltoastrelid FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'm')
    ), tables AS (
        SELECT oid FROM mine UNION SELECT reltoastrelid FROM mine WHERE reltoastrelid <> 0
    )
    SELECT oid::regclass::text AS name, pg_relation_filepath(oid) AS path FROM tables
    UNION ALL
    SELECT indexrelid::regclass::text, pg_relation_filepath(indexrelid)
    FROM pg_index WHERE indrelid IN (SELECT oid FROM tables)
"""


async def having(conn: asyncpg.Connection, content: bytes) -> set[str]:
    """The tables and indexes of the schema that have an item with this content on some page."""
    return {
        name async for name, data in _files(conn) if any(content in item for item in _items(data))
    }


async def with_free_room(conn: asyncpg.Connection, content: bytes) -> set[str]:
    """Those that have it anywhere in their files, also in room that is free to be written over."""
    return {name async for name, data in _files(conn) if content in data}


async def _files(conn: asyncpg.Connection) -> AsyncIterator[tuple[str, bytes]]:
    await conn.execute("CHECKPOINT")
    for name, path in await conn.fetch(_RELATIONS):
        yield name, await conn.fetchval("SELECT pg_read_binary_file($1)", path)


def _items(data: bytes) -> Iterator[bytes]:
    """What line pointers of the pages point to."""
    for at in range(0, len(data), PAGE):
        page = data[at : at + PAGE]
        lower = int.from_bytes(page[12:14], "little")
        for pointer in range(_HEADER, min(lower, PAGE), 4):
            value = int.from_bytes(page[pointer : pointer + 4], "little")
            offset, length = value & 0x7FFF, value >> 17
            yield page[offset : offset + length]
