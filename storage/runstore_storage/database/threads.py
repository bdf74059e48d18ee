"""Work that would block the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

# Work on more bytes than this leaves the event loop's thread.
THREAD_BYTES = 256 << 10

# Likewise work on more items, each hashed or made into an object.
THREAD_ITEMS = 1000

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def run_in_thread_if_large(
    size: int, work: Callable[[*Ts], T], *args: *Ts, most: int = THREAD_BYTES
) -> T:
    """Do the work, in a thread if its size is above `most`, so that it does not block the loop.

    Only then: while a thread is busy, each step of the event loop has to wait for the interpreter.
    """
    return await asyncio.to_thread(work, *args) if size > most else work(*args)
