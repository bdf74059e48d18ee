"""How much of the time work on the feed takes while events are being committed."""

from __future__ import annotations

import asyncio
import time

import pytest
from runstore_server.relay import pacing
from runstore_server.relay.pacing import LITTLE, MOST_BEHIND_SECONDS, Begun, Pace
from runstore_storage.contract.signals import Signal

MUCH = LITTLE + 1
SECOND_AGO = 1.0


class Commits(Signal):
    """Has another mark whenever one looks, as long as events come."""

    are_coming = True

    @property
    def mark(self) -> int:
        self._mark += self.are_coming
        return self._mark

    @mark.setter
    def mark(self, value: int) -> None:
        self._mark = value


@pytest.fixture
def commits() -> Commits:
    return Commits()


@pytest.fixture(autouse=True)
def long_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "MOST_REST_SECONDS", 3600)


@pytest.fixture
def pace(commits: Commits) -> Pace:
    """After a step of a second it rests for most of an hour, while events come."""
    return Pace(0.0, 0.0, Signal(), commits, share=1 / 3000)


def begun(pace: Pace) -> Begun:
    return pace.begin()._replace(at=time.monotonic() - SECOND_AGO)


async def is_over(resting: asyncio.Task[None], within: float) -> bool:
    done, _ = await asyncio.wait([resting], timeout=within)
    return bool(done)


async def test_while_events_come_a_step_has_no_more_than_its_share(
    pace: Pace, commits: Commits
) -> None:
    resting = asyncio.create_task(pace.rest(begun(pace), MUCH, 0.0))
    assert not await is_over(resting, within=0.3)

    commits.are_coming = False

    assert await is_over(resting, within=60)


async def test_who_waits_for_the_work_ends_the_rest(pace: Pace) -> None:
    resting = asyncio.create_task(pace.rest(begun(pace), MUCH, 0.0))
    assert not await is_over(resting, within=0.1)

    pace.wanted.wake()  # type: ignore[attr-defined]  # a Signal

    assert await is_over(resting, within=60)


async def test_work_that_is_far_behind_takes_all_the_time(pace: Pace) -> None:
    resting = asyncio.create_task(pace.rest(begun(pace), MUCH, MOST_BEHIND_SECONDS))

    assert await is_over(resting, within=60)


async def test_where_no_event_came_meanwhile_the_next_step_begins_at_once(
    pace: Pace, commits: Commits
) -> None:
    commits.are_coming = False
    resting = asyncio.create_task(pace.rest(begun(pace), MUCH, 0.0))

    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert resting.done()


async def test_the_rest_is_as_long_as_the_share_says(commits: Commits) -> None:
    pace = Pace(0.0, 0.0, Signal(), commits, share=1 / 1.2)
    began = time.monotonic()

    await pace.rest(begun(pace), MUCH, 0.0)

    assert time.monotonic() - began >= SECOND_AGO * 0.2 - 0.01


async def test_a_long_step_is_followed_by_a_short_rest(
    pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "MOST_REST_SECONDS", 0.2)
    began = time.monotonic()
    resting = asyncio.create_task(pace.rest(begun(pace), MUCH, 0.0))

    assert await is_over(resting, within=60)
    assert time.monotonic() - began >= 0.2


async def test_without_a_share_nothing_is_waited_for(commits: Commits) -> None:
    pace = Pace(0.0, 0.0, Signal(), commits)

    await pace.rest(begun(pace), MUCH, 0.0)
