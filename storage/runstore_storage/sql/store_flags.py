"""store_flags: what holds for the whole database."""

from __future__ import annotations

from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system

SALTED_VERSION = 2

_CHAIN_VERSION = system("SELECT chain_version FROM store_flags")
_SEAL = system(f"""
    UPDATE store_flags SET chain_version = {SALTED_VERSION} WHERE chain_version < {SALTED_VERSION}
    RETURNING chain_version
""")


async def has_salts(conn: Connection) -> bool:
    """Whether what is hashed is to be salted."""
    version: int = (await conn.execute(_CHAIN_VERSION)).scalar_one()
    return version >= SALTED_VERSION


async def seal(conn: Connection) -> bool:
    """Have what is hashed from now on salted; False where it is already."""
    return (await conn.execute(_SEAL)).one_or_none() is not None
