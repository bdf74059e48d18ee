"""A lane commits the appends that wait together, and lingers only while many append at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from runstore_storage.contract.heads import NO_GUARD, RunKey
from runstore_storage.writing import lanes
from runstore_storage.writing.lanes import Append, Lane

APPENDS = 40


class Commits:
    """Answers at once; how many appends each commit had."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def __call__(self, batch: Sequence[Append]) -> None:
        self.sizes.append(len(batch))
        for each in batch:
            each.settle(())


async def append_all(lane: Lane, writers: int) -> None:
    """Each writer appends again a little after its answer, at a time of its own.

    The writers do not end together either.
    """

    async def write(number: int) -> None:
        for _ in range(APPENDS - number):
            append = Append(RunKey("p", str(number)), (), NO_GUARD, 0)
            lane.put(append)
            await append.answered
            await asyncio.sleep(number * 0.0001)

    await asyncio.gather(*(write(number) for number in range(writers)))


async def test_writers_that_come_back_soon_share_a_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    # Long enough for every writer to come back, however busy the machine is.
    monkeypatch.setattr(lanes, "LINGER_SECONDS", 0.2)
    commits = Commits()
    lane = Lane(commits)

    await append_all(lane, 12)
    await lane.close()

    assert sum(commits.sizes) == sum(APPENDS - number for number in range(12))
    assert len(commits.sizes) < 2 * APPENDS


@pytest.mark.parametrize("writers", [1, 3])
async def test_few_writers_do_not_wait_for_others(
    writers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "LINGER_SECONDS", 3600)
    commits = Commits()
    lane = Lane(commits)

    await asyncio.wait_for(append_all(lane, writers), 60)
    await lane.close()

    assert sum(commits.sizes) == sum(APPENDS - number for number in range(writers))


async def test_a_lane_that_lingers_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "LINGER_SECONDS", 3600)
    lane = Lane(Commits())
    appends = [Append(RunKey("p", str(n)), (), NO_GUARD, 0) for n in range(9)]
    for each in appends[:8]:
        lane.put(each)
    await asyncio.gather(*(each.answered for each in appends[:8]))
    lane.put(appends[8])  # one of eight came back

    await asyncio.wait_for(lane.close(), 60)

    assert appends[8].answered.done()
