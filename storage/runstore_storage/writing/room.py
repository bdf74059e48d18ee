"""Room for runs: partitions are made before the runs that need them, beside the writes."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, writing
from runstore_storage.sql import partitions

# A partition is made when this many more runs would need it.
RUNS_AHEAD = partitions.RUNS_PER_PARTITION // 2
CHECK_SECONDS = 60.0
# Runs that are saved within this time share a look.
PAUSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Room:
    """Makes partitions ahead. What keeps it from that becomes a warning, never a failed write."""

    def __init__(self, engine: Database) -> None:
        self._engine = engine
        self._existing: set[int] = set()
        self._wanted = asyncio.Event()
        self.warnings: tuple[str, ...] = ()
        """What operators must see to before the room for runs ends."""
        self._keeping = asyncio.create_task(self._keep())

    async def of(self, conn: Connection, run: int) -> None:
        """Make sure that a run which is being saved has its partition; usually it has."""
        if partitions.lower_bound(run + RUNS_AHEAD) not in self._existing:
            self._wanted.set()
        low = partitions.lower_bound(run)
        # A partition made here may be rolled back, so only one that existed is remembered.
        if low not in self._existing and await partitions.ensure(conn, run):
            self._existing.add(low)

    async def close(self) -> None:
        """Stop making partitions."""
        self._keeping.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeping

    async def _keep(self) -> None:
        while True:
            self._wanted.clear()
            try:
                await self._make_ahead()
            except StorageUnavailable:
                _log.warning("no partition is made while the database is unavailable")
            except Exception:
                _log.exception("the next partition was not made")
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._wanted.wait()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _make_ahead(self) -> None:
        async with writing(self._engine) as conn:
            if await partitions.may_make(conn):
                await partitions.make_room(conn, RUNS_AHEAD)
            room = await partitions.room(conn)
            ahead = await partitions.newest_run(conn) + RUNS_AHEAD
        if room >= RUNS_AHEAD:
            self._existing.add(partitions.lower_bound(ahead))
            self.warnings = ()
            return
        if not self.warnings:
            _log.warning(lacking_room(room))
        self.warnings = (lacking_room(room),)


def lacking_room(runs: int) -> str:
    """The warning that only this many more runs can be saved."""
    return (
        f"{runs} more runs can be saved: then a partition is needed, and the role of the servers"
        " may not make one; run `runstore migrate up` as the role that owns the tables, with"
        " --service-role to let the servers make them"
    )
