"""Print the URL of a Postgres with a migrated schema; serve it until the standard input ends.

python database.py SCHEMA
"""

import asyncio
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))

from database import provided_database
from runstore_migrations import schema
from runstore_storage.database.opening import connect


async def drop(url: str, name: str) -> None:
    conn = await connect(url, schema=name, name="test")
    await conn.execute(f"DROP SCHEMA {name} CASCADE")
    await conn.close()


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the database is stopped
with provided_database() as url:
    asyncio.run(schema.upgrade(url, sys.argv[1]))
    print(url, flush=True)  # noqa: T201 - a command line
    sys.stdin.read()
    asyncio.run(drop(url, sys.argv[1]))
