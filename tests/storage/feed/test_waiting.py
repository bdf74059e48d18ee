"""Waiting for a duty."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from runstore_storage.contract.errors import SearchBehind, StatisticsBehind
from runstore_storage.contract.feed import FeedPoint
from runstore_storage.feed import waiting
from runstore_storage.postgres import PostgresStore

AHEAD = FeedPoint(position=1 << 60)


async def test_a_caller_that_has_to_wait_has_the_duties_hurry_once(store: PostgresStore) -> None:
    wanted = store.feed.wanted

    for wait, behind in (
        (store.search.wait_indexed, SearchBehind),
        (store.statistics.wait_counted, StatisticsBehind),
    ):
        before = wanted.mark
        await wait(FeedPoint(position=0), 0.1)
        assert wanted.mark == before
        with pytest.raises(behind):
            await wait(AHEAD, 0.1)
        assert wanted.mark == before + 1


async def test_a_caller_waits_until_its_time_is_over(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 59.5, 60.0])
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=times.__next__))

    with pytest.raises(SearchBehind):
        await store.search.wait_indexed(AHEAD, 60)

    assert not list(times)
