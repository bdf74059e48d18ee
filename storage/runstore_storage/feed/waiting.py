"""Waiting until a duty on the feed has reached the point that a reader wants to see."""

from __future__ import annotations

import time
from collections.abc import Callable

from runstore_storage.contract.errors import StorageError
from runstore_storage.contract.feed import FeedPoint
from runstore_storage.contract.signals import Signal
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading
from runstore_storage.sql import duties, heads, outbox

# How soon a waiting reader learns what another process did.
WAIT_POLL_SECONDS = 0.05


async def wait_until_reached(
    engine: Database,
    duty: str,
    point: FeedPoint,
    seconds: float,
    *,
    advanced: Signal,
    wanted: Signal,
    behind: Callable[[int, int], StorageError],
) -> None:
    """Return once the duty has reached `point`; after `seconds`, raise the error `behind` makes.

    `behind` takes the duty's position and the one it should have. `advanced` wakes when this
    process moved the duty; `wanted` is woken where that has to be waited for.
    """
    deadline = time.monotonic() + seconds
    is_waiting = False
    target: int | None = None
    while True:
        mark = advanced.mark
        async with reading(engine) as conn:
            done = await duties.position_of(conn, duty)
            if target is None:
                target = await _position_of(conn, point)
        if target is not None and done >= target:
            return
        if not is_waiting:
            is_waiting = True
            wanted.wake()
        left = deadline - time.monotonic()
        if left <= 0:
            raise behind(done, point.position if target is None else target)
        await advanced.wait(mark, min(left, WAIT_POLL_SECONDS))


async def _position_of(conn: Connection, point: FeedPoint) -> int | None:
    """The position to wait for; None while the point's event has none yet."""
    if point.run is None:
        return point.position
    head = await heads.get(conn, point.run)
    if point.seq > head.last_seq:
        return None
    last = await outbox.published_up_to(conn, head.run, point.seq)
    return None if last is None else max(last, point.position)
