"""How often credentials that are not taken may be tried."""

from __future__ import annotations

import pytest
from runstore_server.edge import failed_attempts
from runstore_server.edge.admission import Admission
from runstore_server.edge.errors import QuotaExceeded, Unauthenticated
from runstore_server.edge.failed_attempts import PER_SECOND, FailedAttempts
from runstore_server.edge.identity import Shown
from runstore_server.edge.metrics import Metrics
from runstore_server.identity.callers import KnownCallers, Tokens
from runstore_server.identity.tokens import new_token
from runstore_storage.postgres import PostgresStore
from server.access.guarded import MakeToken

FAR, OTHER = "ipv4:192.0.2.1:50", "ipv4:192.0.2.2:50"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def tried(peer: str, times: int = PER_SECOND) -> FailedAttempts:
    attempts = FailedAttempts(Clock())
    for _ in range(times):
        attempts.count(peer)
    return attempts


def test_ten_a_second_are_looked_at() -> None:
    attempts = tried(FAR, PER_SECOND - 1)
    assert attempts.seconds_until_next(FAR) == 0
    attempts.count(FAR)
    assert attempts.seconds_until_next(FAR) == pytest.approx(0.1)
    assert attempts.seconds_until_next(OTHER) == 0


def test_attempts_that_were_looked_at_together_are_made_up_for_in_a_second() -> None:
    assert tried(FAR, 100 * PER_SECOND).seconds_until_next(FAR) <= 1.1


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (FAR, "192.0.2.1:7000"),
        (FAR, "ipv6:%5B::ffff:192.0.2.1%5D:50"),
        ("ipv6:%5B2001:db8::1%5D:50", "ipv6:%5B2001:db8::ffff:2%5D:51"),
        ("ipv6:%5B2001:db8::1%5D:50", "2001:db8::9:50"),
    ],
)
def test_addresses_of_one_host_are_one(one: str, same: str) -> None:
    assert tried(one).seconds_until_next(same) > 0


@pytest.mark.parametrize(
    "peer", ["ipv4:127.0.0.1:50", "ipv6:%5B::1%5D:50", "127.0.0.1:50", "unix:/tmp/socket", ""]
)
def test_loopback_and_what_is_no_address_are_not_bounded(peer: str) -> None:
    assert tried(peer, 1000).seconds_until_next(peer) == 0


def test_networks_of_ipv6_are_told_apart() -> None:
    attempts = tried("ipv6:%5B2001:db8::1%5D:50")
    assert attempts.seconds_until_next("ipv6:%5B2001:db8:0:1::1%5D:50") == 0


def test_no_more_addresses_are_kept_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failed_attempts, "MAX_ADDRESSES", 100)
    clock = Clock()
    attempts = FailedAttempts(clock)
    for number in range(300):
        attempts.count(f"ipv4:10.0.{number // 250}.{number % 250}:1")
        assert len(attempts._buckets) <= 100
    clock.now += 60
    attempts.count(FAR)
    assert len(attempts._buckets) == 1


async def test_who_guesses_is_not_looked_at_and_who_is_known_is_served(
    store: PostgresStore, make_token: MakeToken
) -> None:
    tokens = Tokens(store.admin)
    admission, clock = Admission(Metrics(), KnownCallers(tokens)), Clock()
    admission._failed = FailedAttempts(clock)
    good, late = await make_token("reader@a"), await make_token("reader@a")

    async def show(text: str, peer: str = FAR) -> None:
        await admission.know("GetRun", Shown(peer, f"Bearer {text}"))

    await show(good.text)
    for _ in range(PER_SECOND):
        with pytest.raises(Unauthenticated):
            await show(new_token().text)

    with pytest.raises(QuotaExceeded) as refused:
        await show(new_token().text)
    assert refused.value.details == {"limit": "failed credentials"}
    assert refused.value.retry_after == pytest.approx(0.1)
    await show(good.text)  # was taken before
    tokens._epoch -= 1  # as if another token had been revoked
    await show(good.text)
    with pytest.raises(Unauthenticated):
        await show("never a token")  # nor for this
    await show(late.text, OTHER)
    with pytest.raises(QuotaExceeded):
        await show((await make_token("reader@a")).text)
    clock.now += 0.11
    await show((await make_token("reader@a")).text)


async def test_calls_without_a_credential_are_no_attempts(store: PostgresStore) -> None:
    admission = Admission(Metrics(), KnownCallers(Tokens(store.admin)))
    for _ in range(3 * PER_SECOND):
        with pytest.raises(Unauthenticated):
            await admission.know("GetRun", Shown(FAR))
