"""Messages and records say the same, to the microsecond and to the byte."""

from datetime import UTC, datetime, timedelta, timezone

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from runstore.v1.events_pb2 import Event as EventMessage
from runstore_server.convert.events import event_message, event_of
from runstore_server.convert.payloads import part_of, payload_message
from runstore_server.convert.times import duration, micros_of, time_of, timestamp
from runstore_storage.contract.events import Event, RecordedEvent, Usage
from runstore_storage.contract.payloads import Payload, Ref

TIMES = st.datetimes(timezones=st.just(UTC))
COUNTS = st.integers(0, 10**15)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PAYLOADS = st.builds(Payload, TEXTS | st.binary(max_size=20), TEXTS)
EVENTS = st.builds(
    Event,
    type=TEXTS,
    event_id=TEXTS,
    payload=st.none() | PAYLOADS,
    node_id=TEXTS,
    tags=st.lists(TEXTS).map(tuple),
    usage=st.none() | st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS),
    trace_parent=TEXTS,
    occurred_at=st.none() | TIMES,
)


@given(TIMES)
def test_a_time_comes_back_to_the_microsecond(at: datetime) -> None:
    message = timestamp(at)

    assert time_of(message) == at
    assert message.ToNanoseconds() % 1000 == 0


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    at = datetime(2026, 3, 29, 2, 30, 0, 1, tzinfo=timezone(timedelta(hours=-9, minutes=-30)))

    assert time_of(timestamp(at)) == at
    assert time_of(timestamp(at)).tzinfo is UTC


def test_times_are_truncated_to_the_microsecond() -> None:
    assert time_of(Timestamp(seconds=-1, nanos=999_999_999)) == datetime(
        1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC
    )


@given(st.integers(0, 864_000_000 * 10**6))
def test_a_duration_comes_back_to_the_microsecond(micros: int) -> None:
    assert micros_of(duration(micros)) == micros


@given(EVENTS)
def test_an_event_comes_back_as_it_was_sent(event: Event) -> None:
    recorded = RecordedEvent(7, datetime(2026, 1, 1, tzinfo=UTC), b"h" * 32, event)

    message = EventMessage.FromString(event_message(recorded).SerializeToString())

    assert event_of(message) == event
    assert (message.seq, message.hash) == (7, b"h" * 32)


@given(PAYLOADS | st.binary(min_size=32, max_size=32).map(Ref))
def test_a_part_comes_back_as_it_was_sent(part: Payload | Ref) -> None:
    assert part_of(payload_message(part)) == part
