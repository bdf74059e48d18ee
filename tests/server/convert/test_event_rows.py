"""Events that go from rows into messages are those that the rows hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from runstore.v1 import run_service_pb2 as rpc
from runstore_server.convert.events import add_events
from runstore_server.streams.sizes import page_bytes
from runstore_storage.contract.event_rows import EventRows
from runstore_storage.contract.events import EventPage
from runstore_storage.contract.heads import Outcome
from runstore_storage.sql.events import recorded_event

TEXTS = st.just("") | st.text(max_size=3)
TIMES = st.datetimes(timezones=st.just(UTC))
HASHES = st.binary(min_size=32, max_size=32)
COUNTS = st.integers(0, 10**15)
PAYLOADS = st.one_of(
    st.just((None, None, None)),
    st.tuples(st.sampled_from(["{}", '"é"']), st.none(), TEXTS),
    st.tuples(st.none(), st.binary(max_size=3), TEXTS),
)
WITHOUT_ZONE = st.sampled_from([datetime.min, datetime.max])


@st.composite
def rows(draw: st.DrawFn) -> tuple[Any, ...]:
    json, binary, content_type = draw(PAYLOADS)
    return (
        draw(st.integers(1, 9)),
        draw(st.integers(1, 2**62)),
        draw(TIMES),
        draw(HASHES),
        *(draw(TEXTS) for _ in ("event_id", "type", "node_id", "actor", "model", "tool")),
        draw(st.lists(TEXTS, max_size=2)),
        draw(TEXTS),
        draw(st.none() | TIMES | WITHOUT_ZONE),
        json,
        binary,
        content_type,
        len(json.encode() if json is not None else binary or b""),
        None,
        draw(st.none() | st.lists(TEXTS, max_size=2)),
        draw(st.none() | st.binary(min_size=16, max_size=16)),
        draw(st.none() | st.tuples(TIMES, st.none() | HASHES, HASHES)),
        *draw(st.just([None] * 5) | st.lists(COUNTS, min_size=5, max_size=5)),
    )


@given(st.lists(rows(), max_size=3))
def test_a_message_from_a_row_is_the_one_of_its_event(given: list[tuple[Any, ...]]) -> None:
    page = EventRows(given, recorded_event)
    from_rows, one_by_one = rpc.ListEventsResponse(), rpc.ListEventsResponse()

    add_events(from_rows.events, page)
    add_events(one_by_one.events, list(page))

    assert from_rows == one_by_one
    assert [page[at] for at in range(len(page))] == list(page) == [*page[:1], *page[1:]]


@given(st.lists(rows(), max_size=3))
def test_the_bytes_of_rows_are_those_of_their_events(given: list[tuple[Any, ...]]) -> None:
    page = EventRows(given, recorded_event)
    in_rows, one_by_one = (
        page_bytes(EventPage(events, 1, 0, False, Outcome.UNSPECIFIED))
        for events in (page, tuple(page))
    )

    # Payloads are measured in bytes here and in characters there.
    assert one_by_one <= in_rows <= one_by_one + 2 * len(given)
