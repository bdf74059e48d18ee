"""How long to wait before the next try."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runstore_server.sinks.backoff import (
    MAX_RETRY_AFTER_SECONDS,
    Backoff,
    retry_after_seconds,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_waits_double_up_to_the_ceiling() -> None:
    backoff = Backoff(first=1, ceiling=10)

    assert [backoff.wait(tries, chance=1) for tries in range(1, 7)] == [1, 2, 4, 8, 10, 10]


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_wait_is_between_half_and_all_of_the_doubled_first_wait(
    tries: int, chance: float
) -> None:
    full = min(60, 0.2 * 2 ** min(tries - 1, 20))

    assert full / 2 <= Backoff().wait(tries, chance=chance) <= full


def test_waits_differ_by_chance() -> None:
    assert len({Backoff().wait(9) for _ in range(20)}) > 1


@given(st.floats(0, MAX_RETRY_AFTER_SECONDS), st.floats(0, 1))
def test_a_wait_that_the_receiver_asks_for_is_kept(asked: float, chance: float) -> None:
    assert Backoff().wait(1, retry_after=asked, chance=chance) >= asked


def test_a_receiver_cannot_ask_for_more_than_the_bound() -> None:
    assert Backoff().wait(1, retry_after=1e9, chance=0) == MAX_RETRY_AFTER_SECONDS


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("-5", 0),
        ("999999999", MAX_RETRY_AFTER_SECONDS),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60),
        ("Fri, 02 Jan 2026 03:05:05 -0000", 60),
        ("Fri, 02 Jan 2026 02:00:00 GMT", 0),
        ("soon", None),
        ("nan", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(header, NOW) == seconds
