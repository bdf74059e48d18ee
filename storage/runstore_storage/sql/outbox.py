"""outbox: ranges of events that were committed and not yet published."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from runstore_storage.sql.columns import by_column, insert_rows

_COLUMNS = (("run", "bigint"), ("first_seq", "bigint"), ("last_seq", "bigint"))
_INSERT = text(insert_rows("outbox", _COLUMNS))


async def insert(conn: AsyncConnection, ranges: Sequence[tuple[int, int, int]]) -> None:
    """Note ranges (run, first_seq, last_seq) for publication."""
    await conn.execute(_INSERT, by_column(_COLUMNS, ranges))
