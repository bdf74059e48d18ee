"""Events taken as plain keep every rule and are the events that were sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event, Usage
from runstore.v1.payloads_pb2 import Payload
from runstore_server.convert.events import events_of
from runstore_server.validation.json_texts import SMALL_TEXT
from runstore_server.validation.plain_events import plain_events
from runstore_server.validation.requests import validate
from runstore_storage.contract.events import RUN_COMPLETED

NAMES = st.sampled_from(["", "a", "b", "c\0d", "é" * 200, "x" * 201, RUN_COMPLETED]) | st.text(
    max_size=3
)
PAYLOADS = st.one_of(
    st.builds(
        Payload, json=st.sampled_from(["{}", "[1", "", '"\0"', "NaN", "[" * 513 + "]" * 513])
    ),
    st.builds(Payload, json=st.just("{}"), content_type=NAMES),
    st.builds(Payload, binary=st.binary(max_size=2)),
    st.builds(Payload, ref=st.binary(max_size=2)),
    st.just(Payload()),
)
PLAIN = st.fixed_dictionaries(
    {"event_id": st.uuids().map(str), "type": st.sampled_from(["t", "u"])},
    optional={
        "node_id": st.sampled_from(["n", ""]),
        "actor": st.just("a"),
        "model": st.just("m"),
        "tool": st.just("é" * 200),
        "trace_parent": st.just("p"),
        "payload": st.builds(Payload, json=st.sampled_from(["{}", '"é"', "1e999", " [] "])),
    },
)
ANY = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("event_id", "type", "node_id", "actor", "model", "tool", "trace_parent"), NAMES
        ),
        "payload": PAYLOADS,
        "tags": st.lists(NAMES, max_size=2),
        "usage": st.builds(Usage, input_tokens=st.integers(-1, 1)),
        "occurred_at": st.just({"seconds": 1}),
    },
)


@given(st.lists(PLAIN | st.tuples(PLAIN, ANY).map(lambda both: both[0] | both[1]), max_size=3))
def test_what_is_plain_breaks_no_rule_and_is_what_was_sent(fields: list[dict[str, object]]) -> None:
    request = rpc.AppendEventsRequest(run_id="run", events=[Event(**each) for each in fields])  # type: ignore[arg-type]

    plain = plain_events(request.events)

    if plain is not None:
        validate(request)
        assert tuple(plain) == events_of(request.events)
        assert plain[1:] == list(events_of(request.events))[1:]


@given(st.lists(PLAIN, min_size=1, max_size=3, unique_by=lambda each: each["event_id"]))
def test_what_most_writers_send_is_plain(fields: list[dict[str, object]]) -> None:
    assert plain_events([Event(**each) for each in fields]) is not None  # type: ignore[arg-type]


NOT_PLAIN: dict[str, Callable[[Event], object]] = {
    "no id": lambda event: event.ClearField("event_id"),
    "no type": lambda event: event.ClearField("type"),
    "a type of the server's": lambda event: setattr(event, "type", RUN_COMPLETED),
    "a long name": lambda event: setattr(event, "actor", "x" * 201),
    "NUL": lambda event: setattr(event, "tool", "\0"),
    "tags": lambda event: event.tags.append("t"),
    "usage": lambda event: event.usage.SetInParent(),
    "a time": lambda event: event.occurred_at.SetInParent(),
    "an empty payload": lambda event: event.payload.SetInParent(),
    "bytes": lambda event: setattr(event.payload, "binary", b"x"),
    "no JSON": lambda event: setattr(event.payload, "json", "{"),
    "a content type": lambda event: event.payload.MergeFrom(Payload(json="1", content_type="x")),
    "a large text": lambda event: setattr(event.payload, "json", '"' + "x" * SMALL_TEXT + '"'),
}


@pytest.mark.parametrize("change", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())
def test_one_event_that_is_not_plain_makes_them_all_so(change: Callable[[Event], object]) -> None:
    events = [Event(event_id=each, type="t") for each in ("1", "2")]
    assert plain_events(events) is not None

    change(events[1])

    assert plain_events(events) is None


def test_repeated_ids_and_no_events_are_not_plain() -> None:
    assert plain_events([Event(event_id="1", type="t")] * 2) is None
    assert plain_events([]) is None
