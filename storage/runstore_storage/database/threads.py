"""Work that would hold up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

# Work on more bytes than this leaves the event loop's thread.
THREAD_BYTES = 256 << 10

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def run_in_thread_if_large(
    size: int, work: Callable[[*Ts], T], *args: *Ts, most: int = THREAD_BYTES
) -> T:
    """Do the work, in a thread of its own where its size is above `most` and would hold up others.

    Only there: beside a busy thread each step of the event loop waits for its turn.
    """
    return await asyncio.to_thread(work, *args) if size > most else work(*args)
