"""Limits of projects, at a clock that the tests set."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runstore.v1 import artifact_service_pb2 as artifacts
from runstore.v1 import config_service_pb2 as configs
from runstore.v1 import feed_service_pb2 as feed
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event
from runstore_server.edge.access import ACCESS, READS
from runstore_server.edge.admission import ADMINISTRATION
from runstore_server.edge.buckets import Bucket
from runstore_server.edge.errors import QuotaExceeded
from runstore_server.edge.quotas import STORES, Quotas
from runstore_storage.contract.admin import Limits
from runstore_storage.contract.errors import StorageUnavailable
from until import until

APPEND = rpc.AppendEventRequest(project="a", run_id="r", event=Event(type="t"))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def refused(quotas: Quotas, *args: object, project: str = "a", **kwargs: int) -> tuple[str, float]:
    with pytest.raises(QuotaExceeded) as error:
        quotas.charge(project, *args, **kwargs)  # type: ignore[arg-type]
    return error.value.details["limit"], error.value.retry_after


def test_a_second_s_worth_may_be_used_at_once_and_no_more(clock: Clock) -> None:
    counted: Counter[str] = Counter()
    quotas = Quotas(lambda name: counted.update([name]), clock)
    quotas.hold_to({"a": Limits(calls_per_second=4)})

    for _ in range(4):
        quotas.charge("a")
    assert refused(quotas) == ("calls", 0.25)
    clock.now += 0.25
    quotas.charge("a")
    assert refused(quotas) == ("calls", 0.25)
    clock.now += 3600
    for _ in range(4):
        quotas.charge("a")
    assert refused(quotas) == ("calls", 0.25)
    assert counted == {"calls": 3}


def test_large_requests_pass_beside_a_steady_flow_of_small_ones(clock: Clock) -> None:
    quotas = Quotas(clock=clock)
    quotas.hold_to({"a": Limits(events_per_second=10)})
    many, passed = rpc.AppendManyRequest(appends=[APPEND] * 35), 0
    for turn in range(400):
        clock.now += 0.05
        with suppress(QuotaExceeded):
            quotas.charge("a", many if turn % 2 else APPEND)
            passed += turn % 2

    assert passed >= 2


def test_what_one_limit_refuses_is_counted_by_none(clock: Clock) -> None:
    quotas = Quotas(clock=clock)
    quotas.hold_to({"a": Limits(calls_per_second=3, events_per_second=1)})

    quotas.charge("a", APPEND)
    for _ in range(5):
        assert refused(quotas, APPEND) == ("events", 1.0)
    quotas.charge("a")
    quotas.charge("a")
    assert refused(quotas)[0] == "calls"


@pytest.mark.parametrize(
    ("message", "events"),
    [
        (APPEND, 1),
        (rpc.AppendEventsRequest(events=[Event(), Event()]), 2),
        (rpc.AppendManyRequest(appends=[APPEND] * 3), 3),
        (rpc.AppendEventStreamRequest(append=APPEND), 1),
        (rpc.CompleteRunRequest(events=[Event()] * 4), 4),
        (rpc.GetRunRequest(), 0),
    ],
)
def test_events_are_counted_however_they_are_sent(
    clock: Clock, message: object, events: int
) -> None:
    quotas = Quotas(clock=clock)
    quotas.hold_to({"a": Limits(events_per_second=10)})

    quotas.charge("a", message)  # type: ignore[arg-type]
    left = 0
    while left < 20:
        try:
            quotas.charge("a", APPEND)
        except QuotaExceeded:
            break
        left += 1

    assert left == 10 - events


def test_a_request_of_more_than_a_second_s_worth_passes_and_is_made_up_for(clock: Clock) -> None:
    quotas = Quotas(clock=clock)
    quotas.hold_to({"a": Limits(events_per_second=10)})
    many = rpc.AppendManyRequest(appends=[APPEND] * 35)

    quotas.charge("a", many)
    assert refused(quotas, APPEND) == ("events", pytest.approx(2.6))
    assert refused(quotas, many) == ("events", pytest.approx(2.6))
    quotas.charge("a")  # which appends nothing
    clock.now += 2.7
    quotas.charge("a", many)


def test_bytes_are_those_of_the_request(clock: Clock) -> None:
    quotas = Quotas(clock=clock)
    quotas.hold_to({"a": Limits(bytes_per_second=2 * APPEND.ByteSize())})

    quotas.charge("a", APPEND)
    quotas.charge("a", APPEND)
    assert refused(quotas, APPEND) == ("bytes", pytest.approx(0.5 / APPEND.ByteSize()))


def test_a_project_s_limits_are_no_other_s(clock: Clock) -> None:
    quotas = Quotas(clock=clock)
    quotas.hold_to({"a": Limits(calls_per_second=1), "b": Limits(calls_per_second=1)})

    quotas.charge("a")
    assert refused(quotas)[0] == "calls"
    quotas.charge("b")
    for _ in range(1000):
        quotas.charge("c")


def test_what_was_used_stays_used_when_other_limits_are_set(clock: Clock) -> None:
    quotas, limits = Quotas(clock=clock), Limits(calls_per_second=1)
    quotas.hold_to({"a": limits})
    quotas.charge("a")

    quotas.hold_to({"a": limits, "b": limits})
    assert refused(quotas)[0] == "calls"
    quotas.hold_to({"a": Limits(calls_per_second=2)})
    quotas.charge("a")
    quotas.hold_to({})
    for _ in range(1000):
        quotas.charge("a")


@pytest.mark.parametrize("message", sorted(STORES, key=str))
def test_a_full_project_stores_no_more_and_is_charged_nothing(clock: Clock, message: Any) -> None:
    counted: Counter[str] = Counter()
    quotas = Quotas(lambda name: counted.update([name]), clock)
    quotas.hold_to({"a": Limits(calls_per_second=2, stored_bytes=100), "b": Limits(stored_bytes=9)})

    quotas.hold_stored({"a": 99, "b": 0})
    quotas.charge("a", message())
    quotas.hold_stored({"a": 100, "b": 0})
    for _ in range(5):
        assert refused(quotas, message()) == ("stored_bytes", 60.0)
    quotas.charge("a", rpc.GetRunRequest())
    quotas.charge("b", message())
    quotas.charge("c", message())
    quotas.hold_stored({})
    clock.now += 1
    quotas.charge("a", message())

    assert counted == {"stored_bytes": 5}


def test_what_is_no_storing_of_more_passes_in_a_full_project(clock: Clock) -> None:
    quotas = Quotas(clock=clock)
    quotas.hold_to({"a": Limits(stored_bytes=1)})
    quotas.hold_stored({"a": 2})
    passing = [
        *(rpc.CompleteRunRequest(events=[Event()]), rpc.ResumeRunRequest()),
        *(rpc.DeleteSnapshotsRequest(), artifacts.LinkArtifactRequest()),
        *(configs.SetLabelRequest(), configs.RemoveLabelRequest()),
        *(feed.CommitPositionRequest(), feed.ResetConsumerRequest()),
    ]

    for message in passing:
        quotas.charge("a", message)

    # Those, what stores, what reads, and administration are all that there is.
    writing = {each for each in ACCESS.keys() - READS if not each.startswith(ADMINISTRATION)}
    known = {type(each) for each in passing} | STORES
    assert {f"{name.rpartition('/')[2]}Request" for name in writing} == {
        each.__name__ for each in known
    }


def test_a_higher_limit_holds_at_once(clock: Clock) -> None:
    quotas = Quotas(clock=clock)
    quotas.hold_to({"a": Limits(stored_bytes=10)})
    quotas.hold_stored({"a": 15})
    assert refused(quotas, APPEND)[0] == "stored_bytes"

    quotas.hold_to({"a": Limits(stored_bytes=12)})
    assert refused(quotas, APPEND)[0] == "stored_bytes"
    quotas.hold_to({"a": Limits(stored_bytes=16)})
    quotas.charge("a", APPEND)


def test_streams_are_bounded_while_they_are_open(clock: Clock) -> None:
    quotas = Quotas(clock=clock)
    with ExitStack() as open_before:
        open_before.enter_context(quotas.streams())("a")
        quotas.hold_to({"a": Limits(streams=2)})
        with quotas.streams() as hold:
            hold("a")
            hold("a")  # counted once
            hold("b")
            with quotas.streams() as another:
                with pytest.raises(QuotaExceeded) as error:
                    another("a")
                another("b")
            assert error.value.details == {"limit": "streams"}
        with quotas.streams() as hold:
            hold("a")
    assert not quotas._streams


async def test_an_upload_waits_where_a_call_is_refused(clock: Clock) -> None:
    chunk = artifacts.UploadArtifactRequest(chunk=b"x" * 1000)
    quotas = Quotas()
    quotas.hold_to({"a": Limits(bytes_per_second=chunk.ByteSize() * 20)})

    began = asyncio.get_running_loop().time()
    for _ in range(25):
        await quotas.pace("a", chunk)

    assert asyncio.get_running_loop().time() - began >= 0.2


class Kept:
    """What a store says of limits."""

    def __init__(self) -> None:
        self.epoch, self.limits, self.reads = 1, {"a": Limits(calls_per_second=1)}, 0
        self.error: Exception | None = None
        self.stored: dict[str, int] = {}
        self.looks = 0

    async def credential_epoch(self) -> int:
        if self.error:
            raise self.error
        return self.epoch

    async def all_limits(self) -> dict[str, Limits]:
        self.reads += 1
        return self.limits

    async def stored_bytes(self) -> dict[str, int]:
        self.looks += 1
        return self.stored


async def test_limits_are_read_again_once_they_were_set(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstore_server.edge.quotas.LOOK_SECONDS", 0.001)
    quotas, kept = Quotas(clock=clock), Kept()
    following = asyncio.create_task(quotas.follow(kept))  # type: ignore[arg-type]
    await until(lambda: kept.reads)
    quotas.charge("a")

    for error in (StorageUnavailable(), ValueError("a defect")):
        kept.error = error
        await asyncio.sleep(0.01)
        assert refused(quotas)[0] == "calls"
    kept.error, kept.limits = None, {}
    await asyncio.sleep(0.01)
    assert kept.reads == 1
    kept.epoch += 1
    await until(lambda: kept.reads == 2)
    quotas.charge("a")

    following.cancel()


async def test_what_is_stored_is_followed_where_that_is_limited(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstore_server.edge.quotas.LOOK_SECONDS", 0.001)
    quotas, kept = Quotas(clock=clock), Kept()
    following = asyncio.create_task(quotas.follow(kept))  # type: ignore[arg-type]
    await until(lambda: kept.reads)
    kept.epoch += 1
    await until(lambda: kept.reads == 2)
    assert kept.looks == 0

    kept.epoch, kept.limits, kept.stored = 3, {"a": Limits(stored_bytes=5)}, {"a": 5}
    await until(lambda: kept.looks > 1)
    assert refused(quotas, APPEND)[0] == "stored_bytes"
    kept.stored, looks = {}, kept.looks
    await until(lambda: kept.looks > looks + 1)
    quotas.charge("a", APPEND)

    following.cancel()


@settings(deadline=None)
@given(
    rate=st.integers(1, 1000),
    takes=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 3000)), max_size=50),
)
def test_no_more_is_taken_than_was_filled_and_one_request(
    rate: int, takes: list[tuple[float, int]]
) -> None:
    clock = Clock()
    bucket, taken, largest = Bucket(rate, clock), 0, 0
    for pause, amount in takes:
        clock.now += pause
        seconds = bucket.seconds_until_next()
        if seconds == 0:
            bucket.take(amount)
            taken, largest = taken + amount, max(largest, amount)
        else:
            clock.now += seconds
            assert bucket.seconds_until_next() == pytest.approx(0, abs=1e-6)
    assert taken <= rate * (1 + clock.now - 100.0) + largest + 1e-3
