"""Making search rows without holding up the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from runstore_storage.contract.feed import FeedEntry
from runstore_storage.database.threads import run_in_thread_if_large
from runstore_storage.search.rows import row_of
from runstore_storage.sql.search_rows import SearchRow

# How much is cut into words in one go, about a millisecond's work; each entry counts as this much
# at least.
SLICE_CHARACTERS = 8192
ENTRY_CHARACTERS = 500
# Work on more characters is done in a thread.
LARGE_CHARACTERS = 1 << 16
# If one turn of the event loop takes longer than this, other tasks are waiting for it.
BUSY_SECONDS = 0.0002


async def rows_of(entries: Sequence[FeedEntry]) -> list[SearchRow]:
    """The rows of feed entries, made a slice at a time between the process's other work."""
    rows: list[SearchRow] = []
    done, began = 0, time.monotonic()
    for entry in entries:
        payload = entry.recorded.event.payload
        size = len(payload.content) if payload else 0
        rows.append(await run_in_thread_if_large(size, row_of, entry, most=LARGE_CHARACTERS))
        done += size + ENTRY_CHARACTERS
        if done > SLICE_CHARACTERS:
            await _yield_to_others(began)
            done, began = 0, time.monotonic()
    return rows


async def _yield_to_others(began: float) -> None:
    """Give other tasks a turn and, if there are any, as much time as has passed since `began`."""
    ended = time.monotonic()
    await asyncio.sleep(0)
    if time.monotonic() - ended > BUSY_SECONDS:
        await asyncio.sleep(ended - began)
