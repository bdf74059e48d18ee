"""Entries of one run are delivered in order, those of different runs side by side."""

from __future__ import annotations

import asyncio

import pytest
from entries import entry, interleaved
from runstore_server.sinks.run_queues import deliver_in_run_queues
from runstore_server.sinks.sink import Undelivered
from runstore_storage.contract.feed import FeedEntry


async def test_outcomes_stand_in_the_order_of_the_entries() -> None:
    failure = Undelivered("no")

    async def attempt(each: FeedEntry) -> None:
        if each.position == 2:
            raise failure

    found = await deliver_in_run_queues(interleaved(3, 1), attempt, concurrency=2)

    assert found == [None, failure, None]


async def test_an_undelivered_entry_holds_back_only_the_rest_of_its_run() -> None:
    tried = []

    async def attempt(each: FeedEntry) -> None:
        tried.append(each.position)
        if each.position == 3:
            raise Undelivered("no", retry_after=7, is_refusal=True)

    found = await deliver_in_run_queues(interleaved(2, 4), attempt, concurrency=2)

    assert sorted(tried) == [1, 2, 3, 4, 6, 8]
    assert [place + 1 for place, each in enumerate(found) if each] == [3, 5, 7]
    assert [(each.is_attempted, each.retry_after) for each in found if each] == [
        (True, 7),
        (False, 7),
        (False, 7),
    ]


async def test_runs_of_different_projects_do_not_hold_each_other_back() -> None:
    async def attempt(each: FeedEntry) -> None:
        if each.project == "a":
            raise Undelivered("no")

    entries = [entry(1, project="a"), entry(2, project="b")]

    assert (await deliver_in_run_queues(entries, attempt, concurrency=1))[1] is None


async def test_no_more_entries_than_allowed_are_in_flight_and_never_two_of_a_run() -> None:
    running: list[str] = []
    most = 0

    async def attempt(each: FeedEntry) -> None:
        nonlocal most
        assert each.run_id not in running
        running.append(each.run_id)
        most = max(most, len(running))
        for _ in range(3):
            await asyncio.sleep(0)
        running.remove(each.run_id)

    await deliver_in_run_queues(interleaved(10, 5), attempt, concurrency=4)

    assert most == 4


async def test_a_defect_is_raised_and_not_an_outcome() -> None:
    async def attempt(each: FeedEntry) -> None:
        raise KeyError

    with pytest.raises(ExceptionGroup):
        await deliver_in_run_queues([entry()], attempt, concurrency=1)


async def test_nothing_to_deliver_has_no_outcomes() -> None:
    async def attempt(each: FeedEntry) -> None: ...

    assert await deliver_in_run_queues([], attempt, concurrency=1) == []
