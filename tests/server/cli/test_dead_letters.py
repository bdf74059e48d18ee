"""Dead letters are delivered again: a letter goes once its entry has arrived, and no sooner.

The feed is a small model here, with a letter for each entry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
import typer
from entries import entry
from runstore_server.cli import dead_letters
from runstore_server.cli.dead_letters import letters_of, redeliver
from runstore_server.sinks.sink import Undelivered
from runstore_storage.contract.feed import DeadLetter, FeedEntry

ENTRIES = {position: entry(position) for position in range(1, 6)}
PAGE = 2


class Feed:
    """The letters of a sink and the entries they are about, and a sink beside them."""

    name = "out"

    def __init__(self, **entries: FeedEntry | None) -> None:
        self.entries = ENTRIES | {int(name[1:]): each for name, each in entries.items()}
        self.left = [DeadLetter("out", each, 1, "no", id=10 * each) for each in ENTRIES]
        self.taken: list[int] = []
        self.refused: set[int] = set()
        self.dies_at = -1

    def _call(self) -> None:
        self.dies_at -= 1
        if self.dies_at == -1:
            raise asyncio.CancelledError

    async def list_dead_letters(
        self, sink: str, *, limit: int, after: int
    ) -> tuple[DeadLetter, ...]:
        self._call()
        found = [each for each in self.left if each.sink == sink and each.id > after]
        return tuple(found[:limit])

    async def read_entry(self, position: int) -> FeedEntry | None:
        self._call()
        return self.entries[position]

    async def remove_dead_letter(self, letter_id: int) -> bool:
        self._call()
        position = letter_id // 10
        assert position in self.taken or not self.entries[position], "a letter that may arrive"
        self.left = [each for each in self.left if each.id != letter_id]
        return True

    async def deliver(self, entries: Sequence[FeedEntry]) -> list[Undelivered | None]:
        self._call()
        (each,) = entries
        if each.position in self.refused:
            return [Undelivered("busy")]
        self.taken.append(each.position)
        return [None]

    async def redeliver(self, letter_id: int | None = None) -> int:
        return await redeliver(self, self, letter_id)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "PAGE_LETTERS", PAGE)


async def test_all_letters_are_delivered_in_order_and_removed() -> None:
    feed = Feed()

    assert await feed.redeliver() == len(ENTRIES)

    assert (feed.taken, feed.left) == ([*ENTRIES], [])


async def test_each_letter_is_listed_once() -> None:
    feed = Feed()

    listed = [each.id async for each in letters_of(feed, "out")]  # type: ignore[arg-type]

    assert listed == [each.id for each in feed.left]


async def test_a_replay_that_is_stopped_anywhere_loses_no_letter() -> None:
    counted = Feed()
    await counted.redeliver()
    calls = -1 - counted.dies_at

    for number in range(calls):
        feed = Feed()
        feed.dies_at = number
        with pytest.raises(asyncio.CancelledError):
            await feed.redeliver()
        await feed.redeliver()

        assert (list(dict.fromkeys(feed.taken)), feed.left) == ([*ENTRIES], [])


@pytest.mark.parametrize(
    ("entry_3", "refused", "said"),
    [
        (ENTRIES[3], {3}, "failed again: busy"),
        (replace(ENTRIES[3], is_payload_lost=True), set(), "the payload is lost"),
    ],
)
async def test_a_letter_that_cannot_be_delivered_stays_with_those_after_it(
    capsys: pytest.CaptureFixture[str],
    entry_3: FeedEntry,
    refused: set[int],
    said: str,
) -> None:
    feed = Feed(_3=entry_3)
    feed.refused = refused

    with pytest.raises(typer.Exit):
        await feed.redeliver()

    assert feed.taken == [1, 2]
    assert [each.position for each in feed.left] == [3, 4, 5]
    assert capsys.readouterr().err.strip() == f"delivered 2; letter 30: {said}"


async def test_a_letter_of_a_deleted_run_is_removed() -> None:
    feed = Feed(_3=None)

    assert await feed.redeliver(30) == 0
    assert await feed.redeliver() == len(ENTRIES) - 1

    assert (feed.taken, feed.left) == ([1, 2, 4, 5], [])


async def test_a_letter_is_delivered_by_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    feed = Feed()

    assert await feed.redeliver(40) == 1
    with pytest.raises(typer.Exit):
        await feed.redeliver(40)

    assert feed.taken == [4]
    assert [each.id for each in feed.left] == [10, 20, 30, 50]
    assert capsys.readouterr().err.strip() == "out has no dead letter 40"
