"""Waiting until a duty on the feed has come as far as a reader wants to see."""

from __future__ import annotations

import time
from collections.abc import Callable

from runstore_storage.contract.errors import RunNotFound, StorageError
from runstore_storage.contract.search import Awaited
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading
from runstore_storage.database.signals import Signal
from runstore_storage.sql import duties, heads, outbox

# How soon one that waits learns of what another process did.
WAIT_POLL_SECONDS = 0.05


async def wait_done(
    engine: Database,
    duty: str,
    awaited: Awaited,
    seconds: float,
    *,
    advanced: Signal,
    behind: Callable[[int, int], StorageError],
) -> None:
    """Return when the duty is done with what is awaited; raise what `behind` makes after `seconds`.

    `behind` takes where the duty is and where it should be. `advanced` wakes when it moved here.
    """
    deadline = time.monotonic() + seconds
    wanted: int | None = None
    while True:
        mark = advanced.mark
        async with reading(engine) as conn:
            done = await duties.position_of(conn, duty)
            if wanted is None:
                wanted = await _wanted(conn, awaited)
        if wanted is not None and done >= wanted:
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise behind(done, awaited.position if wanted is None else wanted)
        await advanced.wait(mark, min(left, WAIT_POLL_SECONDS))


async def _wanted(conn: Connection, awaited: Awaited) -> int | None:
    """The position to wait for; None while an event that is awaited has none yet."""
    if awaited.run is None:
        return awaited.position
    head = await heads.find(conn, awaited.run)
    if head is None:
        raise RunNotFound(awaited.run)
    if awaited.seq > head.last_seq:
        return None
    last = await outbox.published_up_to(conn, head.run, awaited.seq)
    return None if last is None else max(last, awaited.position)
