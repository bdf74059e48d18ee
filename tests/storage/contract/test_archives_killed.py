"""A holder that is killed while it archives: every event is read from one place, always."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from database import SERVICE_ROLE
from runstore_storage.contract.archives import ArchiveState
from runstore_storage.postgres import PostgresStore
from storage.contract.archiving import (
    all_done,
    cleared_at_once,
    decided,
    external,
    files,
    pages,
    restored,
    rows_of,
    state_of,
    until,
)
from storage.contract.test_removals import relayed, take_duties

pytestmark = pytest.mark.usefixtures(cleared_at_once.__name__)
ROOT = Path(__file__).parents[3]
POINTS = (
    *("while files are written", "before the files are noted", "after ARCHIVED"),
    *("before the switch commits", "after SWITCHED", "before rows are gone", "after REMOVING"),
    *("before the last step commits", "after DONE", "before a restore commits"),
)


async def killed(url: str, schema: str, point: str) -> None:
    """Return when a holder has been killed at a point."""
    path = os.pathsep.join(map(str, (ROOT / "tests", ROOT)))
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "storage.contract.killed_holder", url, schema, point),
        env=os.environ | {"PYTHONPATH": path, "TEST_SERVICE_ROLE": SERVICE_ROLE},
    )
    assert await holder.wait() == -signal.SIGKILL


@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_holder_leaves_every_event_in_one_place(
    own: PostgresStore, database_url: str, own_schema: str, point: str
) -> None:
    key = await external(own, events=5)
    before, rows = await pages(own, key), await rows_of(own, key)
    await decided(own, key)

    await killed(database_url, own_schema, point)

    assert await pages(own, key, read_archive=True) == before
    state = await state_of(own, key)
    if state < ArchiveState.SWITCHED:
        assert await pages(own, key) == before
    async with asyncio.timeout(30):
        while await own.feed.hold_duty("removals", "me") is None:  # noqa: ASYNC110 - its lease ends
            await asyncio.sleep(0.1)
    await take_duties(own)
    await relayed(own)
    await until(own, key, ArchiveState.DONE)
    assert await pages(own, key, read_archive=True) == before
    assert await rows_of(own, key) == []
    assert len({each.parent for each in files(own, key) if each.name == "manifest.json"}) == 1
    await restored(own, key)
    assert (await pages(own, key), await rows_of(own, key)) == (before, rows)
    await all_done(own)
    assert files(own, key) == []
