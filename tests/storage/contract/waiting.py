"""Writers of one run that wait for its lock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runstore_storage.contract.heads import RunKey
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore


@asynccontextmanager
async def locked(store: PostgresStore, key: RunKey) -> AsyncIterator[None]:
    """Hold the run's lock, so that its writers queue behind it in the order they come."""
    async with store._engine.begin() as conn:
        await conn.execute(
            system(
                "SELECT FROM run_heads h JOIN runs r USING (run)"
                " WHERE r.project = :p1 AND r.run_id = :p2 FOR UPDATE OF h"
            ),
            {"p1": key.project, "p2": key.run_id},
        )
        yield


async def queued(store: PostgresStore, writers: int) -> None:
    """Wait until so many writers wait for the lock of a run: each has a lock on its row's place."""
    async with store._engine.connect() as conn, asyncio.timeout(60):
        while True:
            found = await conn.execute(
                system(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'tuple'"
                    " AND relation = 'run_heads'::regclass AND database ="
                    " (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            )
            if found.scalar_one() >= writers:
                return
