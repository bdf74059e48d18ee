"""Having Postgres clean up what erased events left in its tables and indexes.

A row that was changed leaves what it was behind until it is vacuumed, and vacuuming leaves what is
needed by a transaction that began before. An index of words keeps each for ever, also when no row
has it any more, unless it is built anew. Neither is done in a transaction.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import asyncpg

from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.database.connections import Connections
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.database.failures import translated
from runstore_storage.database.opening import Session
from runstore_storage.sql import erasing

# Those of events come first: once nothing keeps their old rows, nothing keeps the others'.
BESIDE_EVENTS = ("archived_events", "search_rows", "subject_refs", "erasure_targets", "blobs")
WORDS = "ix_search_rows_tsv"
# How many removals are cleaned up after together.
MOST_REMOVALS = 1000
# After an attempt that came too early.
RETRY_SECONDS = 30.0
PATIENCE_SECONDS = 24 * 3600.0
# An index that a rebuild which was broken off has left.
_LEFT = ("_ccnew", "_ccold")

_log = logging.getLogger(__name__)


class Cleaning:
    """Cleans up for one process, over a connection of its own."""

    def __init__(self, engine: Database, connections: Connections) -> None:
        self._engine = engine
        self._connections = connections
        self._not_before = 0.0
        self._is_told = False

    async def clean_up_in_turn(self) -> int:
        """As `clean_up`, unless an attempt a moment ago came too early; 0 also for other roles."""
        if time.monotonic() < self._not_before:
            return 0
        try:
            done = await self.clean_up()
        except StorageUnavailable:
            self._not_before = time.monotonic() + RETRY_SECONDS
            raise
        if done is None and not self._is_told:
            self._is_told = True
            _log.warning(
                "erasures wait for the owner of the tables: run `runstore erasures clean-up`, as"
                " docs/erasure.md says"
            )
        return done or 0

    async def clean_up(self) -> int | None:
        """As `ErasureStore.clean_up`; 0 where something still needs what was erased."""
        async with reading(self._engine) as conn:
            erased = await erasing.erased(conn, limit=MOST_REMOVALS)
            if not erased:
                return 0
            partitions = await erasing.partitions(conn, set(erased.values()))
            if not await erasing.may_clean(conn, [*partitions, *BESIDE_EVENTS]):
                return None
        if not await self._are_cleaned(partitions):
            self._not_before = time.monotonic() + RETRY_SECONDS
            return 0
        async with writing(self._engine) as conn:
            return await erasing.close(conn, list(erased))

    async def _are_cleaned(self, partitions: Sequence[str]) -> bool:
        """Vacuum the tables, and rebuild the index of words; whether nothing had to be left."""
        async with translated():
            session = await self._connections.open("runstore cleaning")
            try:
                await _execute(session, "SET statement_timeout = 0")
                await _vacuum(session, partitions)
                async with reading(self._engine) as conn:
                    if await erasing.dead_rows(conn, partitions):
                        return False
                await _vacuum(session, BESIDE_EVENTS)
                for end in _LEFT:
                    await _execute(session, f"DROP INDEX CONCURRENTLY IF EXISTS {WORDS}{end}")
                await _execute(session, f"REINDEX INDEX CONCURRENTLY {WORDS}")
            finally:
                session.terminate()
        return True


async def _vacuum(session: Session, tables: Sequence[str]) -> None:
    """Vacuum tables with all of their indexes, and forget what is known of their values."""
    for table in tables:
        await _execute(session, f"VACUUM (INDEX_CLEANUP ON, ANALYZE) {table}")


async def _execute(session: asyncpg.Connection, statement: str) -> None:
    await session.execute(statement, timeout=PATIENCE_SECONDS)
