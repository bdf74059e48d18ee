"""Which failures are retried, and for how long."""

import grpc
import pytest
import runstore
from runstore import retry
from runstore.failures import Failure
from runstore.retry import Attempts, Backoff, Patience

GONE = runstore.Unavailable(Failure(grpc.StatusCode.UNAVAILABLE, "gone"))
TOO_LATE = runstore.DeadlineExceeded(Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "too late"))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(retry, "time", stopped)
    return stopped


def test_delays_grow_to_a_bound_and_are_spread() -> None:
    backoff = Backoff(first=0.1, factor=2, most=1)

    for attempt, ceiling in [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (5, 1), (1000, 1)]:
        delay = backoff.delay(attempt, GONE)
        assert delay is not None
        assert ceiling / 2 <= delay <= ceiling


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every delay is as long as it may be."""
    monkeypatch.setattr(retry.random, "random", lambda: 1.0)


def test_delays_double_from_fifty_milliseconds_to_two_seconds(longest: None) -> None:
    delays = [Backoff().delay(attempt, GONE) for attempt in (1, 2, 3, 6, 7, 8, 1000)]

    assert delays == [0.05, 0.1, 0.2, 1.6, 2, 2, 2]


def test_a_call_waits_longer_after_each_attempt(clock: Clock, longest: None) -> None:
    attempts = Attempts(60, Backoff(first=0.125, factor=2, most=4))

    waited = []
    for _ in range(3):
        attempts.begin()
        waited.append(attempts.failed(GONE))

    assert waited == [(GONE, 0.125), (GONE, 0.25), (GONE, 0.5)]


def test_no_attempt_begins_after_the_timeout(clock: Clock, longest: None) -> None:
    attempts = Attempts(1, Backoff(first=0.125, factor=1))
    assert attempts.begin() == 1

    clock.now += 0.875
    in_time = attempts.failed(GONE)
    left = attempts.begin()
    clock.now += 0.0625
    too_late = attempts.failed(GONE)

    assert in_time == (GONE, 0.125)
    assert left == 0.125
    assert too_late == (GONE, None)
    assert attempts.seconds == 0.9375


def test_an_attempt_at_the_very_end_still_has_a_moment(clock: Clock) -> None:
    attempts = Attempts(1, Backoff())

    clock.now += 2

    assert attempts.begin() == 0.001


def test_the_deadline_hides_no_earlier_failure(clock: Clock) -> None:
    attempts = Attempts(1, Backoff())
    alone = Attempts(1, Backoff())

    attempts.failed(GONE)

    assert attempts.failed(TOO_LATE) == (GONE, None)
    assert alone.failed(TOO_LATE) == (TOO_LATE, None)


def test_patience_is_used_up_by_failing_not_by_a_slow_caller(clock: Clock) -> None:
    patience = Patience(60, Backoff())
    clock.now += 3600

    first = patience.delay(GONE)
    clock.now += 60
    second = patience.delay(GONE)
    clock.now += 1
    third = patience.delay(GONE)

    assert first is not None
    assert second is not None
    assert third is None


def test_patience_is_renewed_by_a_success(clock: Clock) -> None:
    patience = Patience(60, Backoff(first=0.1))
    patience.delay(GONE)
    clock.now += 59
    patience.delay(GONE)

    patience.renew()

    clock.now += 3600
    delay = patience.delay(GONE)
    assert delay is not None
    assert delay <= 0.1


def test_no_patience_helps_against_a_refusal(clock: Clock) -> None:
    refusal = runstore.WriterFenced(Failure(grpc.StatusCode.FAILED_PRECONDITION, "fenced"))

    assert Patience(60, Backoff()).delay(refusal) is None


def test_only_failures_that_a_later_attempt_may_not_meet_are_retried() -> None:
    def delay(kind: type[runstore.RunstoreError], attempt: int = 1) -> float | None:
        failure = Failure(grpc.StatusCode.UNAVAILABLE, "", retry_after=0.5)
        return Backoff().delay(attempt, kind(failure))

    for kind in (runstore.Unavailable, runstore.Overloaded, runstore.QuotaExceeded):
        assert delay(kind) == 0.5
    assert delay(runstore.ServerDraining, 30) <= 2.0
    for kind in (runstore.SeqConflict, runstore.WriterFenced, runstore.DeadlineExceeded):
        assert delay(kind) is None
    for kind in (runstore.Unauthenticated, runstore.CredentialExpired, runstore.PermissionDenied):
        assert delay(kind) is None
