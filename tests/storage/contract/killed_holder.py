"""A holder of the duty that archives runs, in a process that kills itself at a point of its work.

python -m storage.contract.killed_holder URL SCHEMA POINT [RUN_TO_RESTORE]
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import row_policies
from conftest import make_store
from database import AS_SERVICE
from runstore_storage.contract.archives import ArchiveState
from runstore_storage.contract.heads import RunKey
from runstore_storage.payloads.objects import Objects
from runstore_storage.removals import archived as archived_rows
from runstore_storage.sql import archive_states, archived_events, heads
from storage.contract.archiving import restored, state_of, step
from storage.contract.test_removals import relayed, take_duties

KEY = RunKey("p", "run")
POINTS: dict[str, tuple[object, str]] = {
    "while files are written": (Objects, "put"),
    "before the files are noted": (archive_states, "note_archived"),
    "before the switch commits": (heads, "archive"),
    "before rows are gone": (archived_events, "archive_rows"),
    "before the last step commits": (archive_states, "note_removing"),
    "before a restore commits": (archive_states, "restore"),
}
"""In what function the process dies when it has done its work, but for what commits it."""
STATES = {f"after {state.name}": state for state in [*ArchiveState][1:5]}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(work: Callable[..., Awaitable[Any]], point: str) -> Callable[..., Awaitable[Any]]:
    async def done(*given: Any, **named: Any) -> Any:
        found = await work(*given, **named)
        if point != "before the last step commits" or ArchiveState.DONE in given:
            die()
        return found

    return done


async def main(url: str, schema: str, point: str) -> None:
    if point in POINTS:
        owner, name = POINTS[point]
        setattr(owner, name, dying(getattr(owner, name), point))
    archived_rows.MOST_ROWS = 2
    if AS_SERVICE:
        row_policies.tell(pytest.MonkeyPatch())
    store = make_store(url, schema)
    await take_duties(store)
    await relayed(store)
    while await step(store):
        if point in STATES and await state_of(store, KEY) is STATES[point]:
            die()
    await restored(store, KEY)


asyncio.run(main(*sys.argv[1:]))
