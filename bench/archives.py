"""Archives: how large they are beside the rows of their events, and how fast they are verified."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from runstore_storage.database.opening import quoted

from bench.figure import Taken, alternate
from bench.setting import Setting

SCHEMA = "archives"
EVENTS = 50_000
# The events' tables with their indexes, whose pages are full once they were vacuumed.
_BYTES = """
    SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = '{schema}.events'::regclass
"""


async def archived(setting: Setting) -> list[Taken]:
    """Events verified a second without a server, beside VerifyRun; bytes of an archive beside those
    of its events' rows and indexes.
    """
    async with setting.server(SCHEMA) as server:

        async def made() -> str:
            found = await setting.generators.one(
                "archives:make", address=server.address, events=EVENTS
            )
            return str(found["run_id"])

        run_id = await made()
        await setting.settled(SCHEMA)
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            await setting.generators.one(
                "archives:export", address=server.address, run_id=run_id, path=file.name
            )

            async def alone() -> float:
                return EVENTS / await _verified(Path(file.name))

            async def served() -> float:
                found = await setting.generators.one(
                    "archives:verify", address=server.address, run_id=run_id, events=EVENTS
                )
                return float(found["rate"])

            verifying = await alternate(setting.options.rounds, alone, served)
        sizes = await _sizes(setting, server.address, run_id)
    return [
        Taken("archive-verify", *verifying),
        Taken("archive-size", *([each / EVENTS] for each in sizes)),
    ]


async def _verified(path: Path) -> float:
    """Seconds that the stand-alone verifier takes, from its start to its end."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runstore.verify_archive", str(path)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    if await process.wait():
        raise ValueError("the archive does not verify")
    return time.perf_counter() - began


async def _sizes(setting: Setting, address: str, run_id: str) -> tuple[int, int]:
    """The bytes of the run's archive, and of the tables that nothing else is in."""
    schema = quoted(SCHEMA)
    await setting.database.execute(f"VACUUM (ANALYZE) {schema}.events", timeout=600)
    rows = int(await setting.database.fetchval(_BYTES.format(schema=schema)))
    found = await setting.generators.one("archives:archive", address=address, run_id=run_id)
    return int(found["bytes"]), rows
