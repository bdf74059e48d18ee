"""A migrated schema for the tests of the TypeScript client.

Prints the settings of a server on it as one line of JSON, and goes when its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests"))

from database import provided_database  # noqa: E402 - found by the path above
from runstore_migrations import schema  # noqa: E402
from runstore_storage.database.opening import connect  # noqa: E402


async def drop(url: str, name: str) -> None:
    conn = await connect(url, schema=name, name="test")
    await conn.execute(f"DROP SCHEMA {name} CASCADE")
    await conn.close()


with provided_database() as url:
    name = f"runstore_typescript_{os.getpid()}"
    asyncio.run(schema.upgrade(url, name))
    settings = {"RUNSTORE_DATABASE_URL": url, "RUNSTORE_DB_SCHEMA": name}
    print(json.dumps(settings), flush=True)  # noqa: T201 - read by setup.ts
    sys.stdin.read()
    asyncio.run(drop(url, name))
