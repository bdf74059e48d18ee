"""Many rows, as the driver gives them: without what SQLAlchemy makes of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

# A parameter, and no cast.
_PARAMETER = re.compile(r"(?<!:):(\w+)")


async def fetch(conn: AsyncConnection, sql: str, values: Mapping[str, object]) -> list[Any]:
    """The rows of a statement, to be read by place or name.

    Its parameters are written as for `sqlalchemy.text`. Within a transaction something must have
    been executed before: SQLAlchemy begins it only then.
    """
    raw = await conn.get_raw_connection()
    connection: asyncpg.Connection = raw.driver_connection  # type: ignore[assignment]  # of any driver
    statement, names = _numbered(sql)
    return await connection.fetch(statement, *(values[name] for name in names))


@lru_cache(maxsize=256)
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """The statement with $1, $2, ... for its parameters, and which they are."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(sql)))
    numbers = {name: number for number, name in enumerate(names, 1)}
    return _PARAMETER.sub(lambda found: f"${numbers[found[1]]}", sql), names
