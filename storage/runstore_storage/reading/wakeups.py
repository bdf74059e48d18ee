"""Wake-ups between processes: one coalesced NOTIFY after commits, one LISTEN per process.

A notification names the runs that grew, by their digests, and says whether the feed did.

NOTIFY inside a write transaction would serialise commits, so it is sent separately after them, and
runs that grow while one is being sent share the next. Losing one is harmless: tails poll.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from uuid import uuid4

from runstore_storage.contract.events import RecordedEvent
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.signals import Signal
from runstore_storage.database.connections import Connections
from runstore_storage.database.failures import is_unavailable
from runstore_storage.database.opening import (
    READ_ONLY,
    ConnectionLost,
    Session,
    is_read_only,
    losses_of,
)
from runstore_storage.reading.tails import Tails, digest

# NOTIFY takes fewer than 8000 bytes; a digest and its comma are 17.
DIGESTS_PER_NOTIFY = 400
RECONNECT_SECONDS = 1.0
CHECK_SECONDS = 5.0
# Under load, runs that grow within this time share a NOTIFY, which costs as much as a small commit.
SEND_PAUSE = 0.005
FEED = "feed"  # no digest looks like this

# Nothing waits for the disk: a crash of Postgres ends those that listen, too.
_NOTIFY = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)"
_log = logging.getLogger(__name__)


class Wakeups:
    """Announces the runs that grew here to other processes, and theirs to this process's tails."""

    def __init__(
        self,
        connections: Connections,
        tails: Tails,
        *,
        schema: str,
    ) -> None:
        self._connections = connections
        self._conn: Session | None = None
        self._turn = asyncio.Lock()
        self._tails = tails
        self._channel = "runstore_" + blake2b(schema.encode(), digest_size=8).hexdigest()
        self._me = f"{os.getpid()}-{uuid4().hex[:8]}"
        self.committed = Signal()
        self.published = Signal()
        self._pending: set[str] = set()
        self._has_pending = asyncio.Event()
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._listen())]

    def announce(self, keys: Collection[RunKey]) -> None:
        """Wake this process's tails at once and the other processes soon."""
        self._tails.wake(keys)
        self._announce_elsewhere(keys)

    def announce_appended(self, new: Mapping[RunKey, Iterable[RecordedEvent]]) -> None:
        """As `announce`, with the appended events, so that this process's tails need not read."""
        for key, events in new.items():
            self._tails.push(key, events)
        self._announce_elsewhere(new)

    def _announce_elsewhere(self, keys: Collection[RunKey]) -> None:
        self.committed.wake()
        self._queue(map(digest, keys))

    def announce_published(self) -> None:
        """Wake the feed's followers, in this process at once and in others soon."""
        self.published.wake()
        self._queue([FEED])

    def _queue(self, names: Iterable[str]) -> None:
        self._pending.update(names)
        self._has_pending.set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self) -> None:
        while True:
            await self._has_pending.wait()
            self._has_pending.clear()
            names, self._pending = sorted(self._pending), set()
            try:
                await self._notify(names)
            except Exception as error:
                if is_unavailable(error):
                    _log.warning("other processes are not woken while the database is unavailable")
                else:
                    _log.exception("other processes were not woken")
            await asyncio.sleep(SEND_PAUSE)

    async def _notify(self, names: Sequence[str]) -> None:
        for start in range(0, len(names), DIGESTS_PER_NOTIFY):
            if self._conn is None:
                raise ConnectionLost("not connected")
            some = ",".join(names[start : start + DIGESTS_PER_NOTIFY])
            await self._execute(self._conn, _NOTIFY, self._channel, f"{self._me}:{some}")

    async def _execute(self, conn: Session, statement: str, *values: str) -> None:
        """Execute on the connection that sending and listening share, one after the other."""
        async with self._turn:
            with self._connections.used(conn), losses_of(conn):
                await conn.execute(statement, *values)

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_until_closed()
            except Exception as error:
                if is_unavailable(error):
                    _log.warning("not listening for wake-ups while the database is unavailable")
                else:
                    _log.exception("not listening for wake-ups")
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen_until_closed(self) -> None:
        conn = await self._connections.open("runstore wake-ups")
        closed = asyncio.Event()
        conn.add_termination_listener(lambda _: closed.set())
        try:
            with self._connections.used(conn), losses_of(conn):
                await conn.add_listener(self._channel, self._heard)
            self._conn = conn
            self._tails.wake_all()
            self.committed.wake()
            self.published.wake()
            while not closed.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_SECONDS):
                        await closed.wait()
                await self._refuse_unless_primary(conn)
        finally:
            self._conn = None
            with suppress(Exception):
                await conn.close(timeout=1)

    async def _refuse_unless_primary(self, conn: Session) -> None:
        """Raise `ConnectionLost` on a server that takes no writes: nothing is notified there."""
        await self._execute(conn, "SELECT")
        if is_read_only(conn):
            raise ConnectionLost(READ_ONLY)

    def _heard(self, _conn: object, _pid: int, _channel: str, payload: object) -> None:
        sender, _, sent = str(payload).partition(":")
        if sender == self._me:
            return
        names = set(sent.split(","))
        if FEED in names:
            names.remove(FEED)
            self.published.wake()
        if names:
            self.committed.wake()
            self._tails.wake_digests(names)
