"""An issuer's keys over time, from a real HTTPS server."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from certificates import Authority
from runstore_server.identity import keys as keys_module
from runstore_server.identity.issuers import IssuerSettings
from runstore_server.identity.keys import LOOK_SECONDS, STALE_SECONDS, IssuerKeys
from server.identity.issuing import (
    Answer,
    Clock,
    KeyServer,
    SigningKey,
    answering,
    issuer_setting,
)
from structlog.testing import capture_logs
from until import until

DOWN = answering(b"canary", "503 Down")


class Withdrawn:
    """How often keys were withdrawn."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def withdrawn() -> Withdrawn:
    return Withdrawn()


@pytest.fixture
def keys(
    key_server: KeyServer, authority: Authority, clock: Clock, withdrawn: Withdrawn
) -> IssuerKeys:
    issuer = IssuerSettings.model_validate(issuer_setting(key_server, authority))
    return IssuerKeys(issuer, withdrawn=withdrawn, clock=clock)


@asynccontextmanager
async def followed(keys: IssuerKeys) -> AsyncIterator[None]:
    """The keys while they are kept up to date; they were fetched, or could not be."""
    before = keys._fetching
    task = asyncio.create_task(keys.follow())
    await until(lambda: keys._fetching is not before and not keys._is_fetching)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def refresh(keys: IssuerKeys) -> None:
    """What happens every five minutes."""
    async with followed(keys):
        pass


async def test_keys_are_fetched_at_the_start_and_then_known(
    keys: IssuerKeys, key_server: KeyServer, clock: Clock
) -> None:
    assert keys.age() == math.inf

    async with followed(keys):
        assert await keys.find("one")

    clock.now += 7
    assert keys.age() == 7
    assert len(key_server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "often", "seldom"),
    [(None, "REFRESH_SECONDS", "RETRY_SECONDS"), (DOWN, "RETRY_SECONDS", "REFRESH_SECONDS")],
)
async def test_they_are_fetched_again_and_again_and_sooner_if_they_could_not_be(
    keys: IssuerKeys,
    key_server: KeyServer,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer | None,
    often: str,
    seldom: str,
) -> None:
    monkeypatch.setattr(keys_module, often, 0.01)
    monkeypatch.setattr(keys_module, seldom, 3600)
    key_server.answer = answer or key_server.answer

    async with followed(keys):
        await until(lambda: len(key_server.requests) >= 5)


async def test_an_unknown_key_is_looked_for_once_for_everybody(
    keys: IssuerKeys, key_server: KeyServer, clock: Clock
) -> None:
    await refresh(keys)

    found = await asyncio.gather(*(keys.find(f"made-up-{n}") for n in range(10_000)))

    assert found == [None] * 10_000
    assert len(key_server.requests) == 2
    clock.now += LOOK_SECONDS - 1
    assert await keys.find("made-up") is None
    assert len(key_server.requests) == 2
    clock.now += 1
    assert await keys.find("made-up") is None
    assert len(key_server.requests) == 3


async def test_a_new_key_is_found_by_those_who_wait_and_the_old_one_stays(
    keys: IssuerKeys, key_server: KeyServer, withdrawn: Withdrawn
) -> None:
    await refresh(keys)
    key_server.publish(SigningKey("two"))

    found = await asyncio.gather(*(keys.find("two") for _ in range(100)))

    assert {each.key_id for each in found if each} == {"two"}
    assert None not in found
    assert await keys.find("one")
    assert len(key_server.requests) == 2
    assert withdrawn.times == 0


async def test_looking_while_the_keys_are_down_takes_none_away(
    keys: IssuerKeys, key_server: KeyServer
) -> None:
    await refresh(keys)
    key_server.answer = DOWN

    assert await keys.find("two") is None

    assert await keys.find("one")


async def test_a_key_that_is_not_published_any_more_goes_with_the_next_refresh(
    keys: IssuerKeys, key_server: KeyServer, withdrawn: Withdrawn, clock: Clock
) -> None:
    await refresh(keys)
    key_server.publish(SigningKey("two"))
    await refresh(keys)

    assert withdrawn.times == 1
    assert await keys.find("two")
    assert await keys.find("one") is None
    await refresh(keys)
    assert withdrawn.times == 1


async def test_another_key_of_the_same_id_withdraws_the_one_before(
    keys: IssuerKeys, key_server: KeyServer, withdrawn: Withdrawn
) -> None:
    await refresh(keys)
    key_server.publish(SigningKey("one"))
    await refresh(keys)

    assert withdrawn.times == 1


@pytest.mark.parametrize("answer", [DOWN, answering(b"<html>"), answering(b'{"keys": []}')])
async def test_what_cannot_be_had_leaves_the_keys_for_a_day(
    keys: IssuerKeys, key_server: KeyServer, clock: Clock, withdrawn: Withdrawn, answer: Answer
) -> None:
    await refresh(keys)
    key_server.answer = answer
    clock.now += STALE_SECONDS
    await refresh(keys)
    assert await keys.find("one")

    clock.now += 1

    assert await keys.find("one") is None
    assert keys.age() == STALE_SECONDS + 1


async def test_stale_keys_do_not_come_back_with_others(
    keys: IssuerKeys, key_server: KeyServer, clock: Clock
) -> None:
    await refresh(keys)
    clock.now += STALE_SECONDS + 1
    key_server.publish(SigningKey("two"))

    assert await keys.find("two")

    assert await keys.find("one") is None


async def test_an_issuer_that_is_down_at_the_start_is_asked_by_the_first_caller(
    keys: IssuerKeys, key_server: KeyServer, key: SigningKey, clock: Clock
) -> None:
    key_server.answer = DOWN
    await refresh(keys)
    key_server.publish(key)

    assert await keys.find("one")


async def test_those_who_come_during_a_refresh_wait_for_it(
    keys: IssuerKeys, key_server: KeyServer
) -> None:
    following = asyncio.create_task(keys.follow())
    await asyncio.sleep(0)

    assert await keys.find("one")

    assert len(key_server.requests) == 1
    following.cancel()


async def test_a_caller_that_goes_away_does_not_end_the_look(
    keys: IssuerKeys, key_server: KeyServer
) -> None:
    first = asyncio.create_task(keys.find("one"))
    second = asyncio.create_task(keys.find("one"))
    await key_server.asked.wait()

    first.cancel()

    assert await second
    assert len(key_server.requests) == 1


async def test_who_waits_when_fetching_ends_is_told_that_there_is_no_key(
    keys: IssuerKeys, key_server: KeyServer
) -> None:
    hanging = asyncio.Event()

    async def hang(_: asyncio.StreamWriter) -> None:
        await hanging.wait()

    key_server.answer = hang
    following = asyncio.create_task(keys.follow())
    await key_server.asked.wait()
    keys._looked_at = keys._clock()
    waiting = asyncio.create_task(keys.find("one"))
    await asyncio.sleep(0)

    following.cancel()

    assert await waiting is None
    hanging.set()


async def test_a_problem_is_logged_once_and_when_it_is_over(
    keys: IssuerKeys, key_server: KeyServer, key: SigningKey
) -> None:
    key_server.answer = DOWN
    with capture_logs() as logged:
        await refresh(keys)
        await refresh(keys)
        key_server.publish(key)
        await refresh(keys)
        await refresh(keys)

    assert [(each["log_level"], each.get("why")) for each in logged] == [
        ("warning", "answered 503"),
        ("info", None),
    ]
    assert "canary" not in str(logged)


async def test_a_defect_is_logged_and_does_not_end_the_fetching(
    authority: Authority, key_server: KeyServer, clock: Clock, withdrawn: Withdrawn
) -> None:
    async def broken(_: IssuerSettings) -> bytes:
        raise ZeroDivisionError

    issuer = IssuerSettings.model_validate(issuer_setting(key_server, authority))
    keys = IssuerKeys(issuer, withdrawn=withdrawn, clock=clock, fetch=broken)

    with capture_logs() as logged:
        await refresh(keys)
        assert await keys.find("one") is None

    assert {each["log_level"] for each in logged} == {"error"}
