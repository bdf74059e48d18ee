"""All connections of one store, and the end of those whose other end has gone.

A peer that goes without a word leaves connections on which statements wait for ever. Where packets
are not acknowledged the kernel finds out (`opening`). Where something in between acknowledges them,
only Postgres knows: it is asked, over a new connection, whether it works on what is waited for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from weakref import WeakKeyDictionary

from runstore_storage.database.opening import (
    ConnectionLost,
    Driver,
    Session,
    connect,
)

# A statement that waits longer than this is asked after.
SILENT_SECONDS = 3.0
LOOK_SECONDS = 1.0
ANSWER_SECONDS = 3.0

# Sessions that have worked a moment ago are not suspected: their answers may be on the way. Nor are
# those of a server that does not track it (`track_activities`), which only the kernel finds.
_AT_WORK = """
    SELECT pid FROM pg_stat_activity WHERE pid = ANY($1)
    AND (state IN ('active', 'disabled')
        OR state_change > clock_timestamp() - make_interval(secs => $2))
"""
_log = logging.getLogger(__name__)


class Connections:
    """Opens the connections of a store, and can break all of them at once."""

    def __init__(self, url: str, *, schema: str) -> None:
        self._url = url
        self._schema = schema
        self._opened: WeakKeyDictionary[Session, float] = WeakKeyDictionary()
        self._used: dict[int, float] = {}
        self._is_abandoned = False
        self._watching: asyncio.Task[None] | None = None

    async def open(self, name: str) -> Session:
        """Open one as `opening.connect` does; raise `ConnectionLost` once they are abandoned."""
        if not self._is_abandoned:
            conn = await connect(self._url, schema=self._schema, name=name)
            if not self._is_abandoned:
                self._opened[conn] = time.monotonic()
                self._watching = self._watching or asyncio.create_task(self._watch())
                return conn
            conn.terminate()
        raise ConnectionLost("the database was abandoned")

    @contextmanager
    def used(self, driver: Driver) -> Iterator[None]:
        """Watch over a connection while answers are waited for on it."""
        backend: int = driver.backend  # type: ignore[union-attr]  # a pool's proxy passes it on
        self._used[backend] = time.monotonic()
        try:
            yield
        finally:
            self._used.pop(backend, None)

    def abandon(self) -> None:
        """Break every connection, so that what waits for an answer on one fails; open no more."""
        self._is_abandoned = True
        for conn in list(self._opened):
            conn.terminate()

    async def close(self) -> None:
        """Stop watching."""
        if self._watching:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            waiting = {each: at for each, at in self._used.items() if now - at > SILENT_SECONDS}
            if not waiting:
                continue
            try:
                at_work = await self._at_work(waiting)
            except Exception:
                _log.info("statements wait for a database that takes no connection")
                continue
            silent = {
                each
                for each, at in waiting.items()
                if each not in at_work and self._used.get(each) == at
            }
            if silent:
                self._end(silent, opened_before=now)

    async def _at_work(self, backends: Collection[int]) -> Collection[int]:
        """Which of these sessions Postgres works for."""
        async with asyncio.timeout(ANSWER_SECONDS):
            conn = await connect(self._url, schema=self._schema, name="runstore watch")
            try:
                rows = await conn.fetch(_AT_WORK, list(backends), SILENT_SECONDS)
            finally:
                conn.terminate()
        return {row["pid"] for row in rows}

    def _end(self, silent: Collection[int], *, opened_before: float) -> None:
        """Break connections that are silent, and the idle ones that took the same path."""
        broken = [
            conn
            for conn, at in self._opened.items()
            if conn.backend in silent
            or (at < opened_before and conn.backend not in self._used and not conn.is_closed())
        ]
        _log.warning(
            "%d connections to the database do not answer; they and %d idle ones are closed",
            len(silent),
            len(broken) - len(silent),
        )
        for conn in broken:
            conn.terminate()
