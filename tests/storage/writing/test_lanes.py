"""A lane commits the appends that wait together, and lingers only while many append at a time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence

import pytest
from prepared import prepared
from runstore_storage.contract.errors import Overloaded, StorageUnavailable
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import NO_GUARD, RunKey
from runstore_storage.contract.scope import own
from runstore_storage.writing import backlog, lanes
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
            append = Append(own(RunKey("p", str(number))), (), NO_GUARD, 0)
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
    appends = [Append(own(RunKey("p", str(n))), (), NO_GUARD, 0) for n in range(9)]
    for each in appends[:8]:
        lane.put(each)
    await asyncio.gather(*(each.answered for each in appends[:8]))
    lane.put(appends[8])  # one of eight came back

    await asyncio.wait_for(lane.close(), 60)

    assert appends[8].answered.done()


class Held:
    """Commits a batch when it may; the batches so far."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Append]] = []
        self.has_begun = asyncio.Event()
        self.may_commit = asyncio.Event()

    async def __call__(self, batch: Sequence[Append]) -> None:
        self.batches.append(batch)
        self.has_begun.set()
        await self.may_commit.wait()
        for each in batch:
            each.settle(())


def an_append(*, events: int = 1, size: int = 0) -> Append:
    return Append(own(RunKey("p", "run")), tuple(prepared([Event("x")] * events)), NO_GUARD, size)


@pytest.mark.parametrize(
    ("waiting", "batches"),
    [
        ([(2, 0), (2, 0), (2, 0), (2, 0), (1, 0)], [3, 2]),
        ([(4, 0), (1, 0), (1, 0)], [2, 1]),
        ([(1, 100), (1, 0)], [1, 1]),
        ([(1, 99), (1, 1), (1, 0)], [2, 1]),
        ([(1, 200), (1, 200)], [1, 1]),
    ],
)
async def test_a_batch_ends_with_the_append_that_fills_it(
    waiting: list[tuple[int, int]], batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "MAX_BATCH_EVENTS", 5)
    monkeypatch.setattr(lanes, "MAX_BATCH_BYTES", 100)
    commits = Held()
    commits.may_commit.set()
    lane = Lane(commits)
    appends = [an_append(events=events, size=size) for events, size in waiting]

    for each in appends:
        lane.put(each)
    await lane.close()

    assert [len(batch) for batch in commits.batches] == batches
    assert [each for batch in commits.batches for each in batch] == appends


@pytest.mark.parametrize(
    ("fitting", "refused"), [([0, 0, 0], 0), ([60, 40], 1), ([100], 1), ([], 101)]
)
async def test_a_full_lane_refuses_appends_until_others_are_committed(
    fitting: list[int], refused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "MAX_WAITING_APPENDS", 3)
    monkeypatch.setattr(backlog, "MAX_WAITING_BYTES", 100)
    commits = Held()
    lane = Lane(commits)
    lane.put(an_append(size=100))
    await commits.has_begun.wait()  # what is being committed takes no room

    appends = [an_append(size=size) for size in fitting]
    for each in appends:
        lane.put(each)
    too_much = an_append(size=refused)
    lane.put(too_much)
    with pytest.raises(Overloaded):
        await too_much.answered

    commits.may_commit.set()
    await asyncio.gather(*(each.answered for each in appends))
    lane.put(an_append(size=100))
    await lane.close()


async def test_a_lane_that_closes_commits_what_waits_and_takes_no_more() -> None:
    commits = Held()
    lane = Lane(commits)
    first, second = an_append(), an_append()
    lane.put(first)
    await commits.has_begun.wait()
    lane.put(second)

    closing = asyncio.create_task(lane.close())
    await asyncio.sleep(0)
    late = an_append()
    lane.put(late)
    with pytest.raises(StorageUnavailable):
        await late.answered
    commits.may_commit.set()
    await closing

    assert commits.batches == [[first], [second]]
    assert first.answered.done()
    assert second.answered.done()


async def test_a_failure_without_a_caller_is_no_error_of_the_loop() -> None:
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    append = an_append()

    append.settle(StorageUnavailable())
    del append
    gc.collect()

    assert errors == []
