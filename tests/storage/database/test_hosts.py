"""Which of the hosts of a URL is used."""

from __future__ import annotations

import asyncio

import pytest
from runstore_storage.database import hosts
from runstore_storage.database.hosts import each_host, first_opened

URL = "postgresql://one,two,three/db"


class Unfit(Exception):
    """A host that answers and cannot be used."""


class Opened:
    """Stands for a connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_ended = False

    def terminate(self) -> None:
        self.is_ended = True


@pytest.fixture(autouse=True)
def no_head_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "HEAD_START_SECONDS", 0.01)


async def hang() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("url", "each"),
    [
        ("postgresql://u:p%2C@one/db?a=1", ["postgresql://u:p%2C@one/db?a=1"]),
        (
            "postgresql://u:p@one:1,[::2]:2/db?sslmode=disable",
            [
                "postgresql://u:p@one:1/db?sslmode=disable",
                "postgresql://u:p@[::2]:2/db?sslmode=disable",
            ],
        ),
        (
            "postgresql://u@/db?host=/run/one,two&port=1,2",
            ["postgresql://u@/db?host=%2Frun%2Fone&port=1", "postgresql://u@/db?host=two&port=2"],
        ),
        (
            "postgresql://u@/db?host=one,two&port=1",
            ["postgresql://u@/db?host=one&port=1", "postgresql://u@/db?host=two&port=1"],
        ),
        ("postgresql://u@/db?host=one,two&port=1,2,3",) * 2,
        ("postgresql://u@/db",) * 2,
    ],
)
def test_each_host_has_a_url_of_its_own(url: str, each: list[str] | str) -> None:
    assert each_host(url) == ([each] if isinstance(each, str) else each)


async def test_a_host_that_does_not_answer_or_fails_is_passed_over() -> None:
    async def opened(url: str) -> Opened:
        if "one" in url:
            await hang()
        if "two" in url:
            raise ValueError("the database system is starting up")
        return Opened(url)

    found = await first_opened(URL, opened, unfit=Unfit)

    assert (found.url, found.is_ended) == ("postgresql://three/db", False)


async def test_a_host_that_answers_late_is_still_taken() -> None:
    answered = asyncio.Event()

    async def opened(url: str) -> Opened:
        if "three" in url:
            answered.set()
        if "one" not in url:
            await hang()
        await answered.wait()
        return Opened(url)

    assert (await first_opened(URL, opened, unfit=Unfit)).url == "postgresql://one/db"


async def test_only_one_connection_stays_open() -> None:
    every: list[Opened] = []
    both = asyncio.Barrier(2)

    async def opened(url: str) -> Opened:
        await both.wait()
        every.append(Opened(url))
        return every[-1]

    found = await first_opened("postgresql://one,two/db", opened, unfit=Unfit)
    await asyncio.sleep(0)

    assert [each for each in every if not each.is_ended] == [found]


async def test_if_no_host_can_be_used_an_outage_is_raised_before_what_is_unfit() -> None:
    async def opened(url: str) -> Opened:
        raise OSError("refused") if "two" in url else Unfit("a standby")

    with pytest.raises(OSError, match="refused"):
        await first_opened(URL, opened, unfit=Unfit)
    with pytest.raises(Unfit):
        await first_opened("postgresql://one,three/db", opened, unfit=Unfit)
