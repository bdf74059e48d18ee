"""Schemas as databases have them that were there before a version."""

from __future__ import annotations

from database import let_service_in
from runstore_migrations import schema
from runstore_storage.database.opening import connect

BEFORE_SALTS = "0019"
WITH_SALTS = "0020"


async def unsealed(database_url: str, name: str) -> None:
    """Migrate a new schema, in which a run was saved before there were salts."""
    await schema.upgrade(database_url, name, BEFORE_SALTS)
    conn = await connect(database_url, schema=name, name="test")
    try:
        await conn.execute("""
            INSERT INTO runs (project, run_id, body_hash, created_at)
            VALUES ('older', 'run', '', now())
        """)
    finally:
        await conn.close()
    await schema.upgrade(database_url, name)
    conn = await connect(database_url, schema=name, name="test")
    try:
        await let_service_in(conn, name)
    finally:
        await conn.close()
