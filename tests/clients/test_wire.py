"""Every field that a caller gives is sent, and every field of an answer is shown.

The calls are found by themselves, their arguments are made from their type hints, and the answers
from the contracts. So a field that is added has to be sent, or shown, or be named here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime, timedelta, timezone
from inspect import getmembers, isfunction
from pkgutil import iter_modules
from typing import Any

import pytest
import runstore
from clients.filled import Filling, arguments, leaves_of, needed, unset
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from runstore import values
from runstore.calls import (
    admin,
    archives,
    artifacts,
    configs,
    erasures,
    events,
    feed,
    holds,
    outputs,
    removals,
    retention,
    runs,
    search,
    snapshots,
    statistics,
)
from runstore.calls.call import PAGE_SIZE, Call
from runstore.v1.events_pb2 import Event
from runstore.v1.snapshots_pb2 import Snapshot
from runstore.values.events import NewEvent
from runstore.values.outputs import Outcome
from runstore.values.payloads import Payload, Ref
from runstore.values.runs import RunOrder, RunQuery
from runstore.wire import payloads, times
from runstore.wire.events import event_message
from runstore.wire.snapshots import snapshot_message
from runstore_server.validation.bounds import PAGE

NOUNS = (
    admin,
    archives,
    artifacts,
    configs,
    erasures,
    events,
    feed,
    holds,
    outputs,
    removals,
    retention,
    runs,
    search,
    snapshots,
    statistics,
)
# What the server sets, and what no caller can give.
NOT_SENT = {
    "Event.erased_at",
    "Event.hash",
    "Event.recorded_at",
    "Event.salt",
    "Event.sealed",
    "Event.seq",
    "ListConsumersRequest.page_size",
    "ListSnapshotsRequest.before",
    "Output.completed_at",
    "Output.outcome",
    "Output.revision",
    "Output.salt",
    "Output.usage",
    *("Policy.put_at", "Policy.put_by"),
    "Payload.content_type",  # a value that is no `Payload` has the usual one
    "PutSnapshotRequest.request_id",  # with a snapshot id there is none
    "ResumeRunRequest.page_size",
    "Snapshot.content_hash",
    "Snapshot.created_at",
    "Snapshot.run_id",
    "Snapshot.salt",
}
# What a call sends beside what it is given.
SENT_ANYWAY = {
    "event_id",
    "fork_run_id",
    "json",  # of a body, of which there must be one
    "max_events",
    "order",
    "outcome",
    "page_size",
    "request_id",
    "run_id",
}
# What a caller that does not say otherwise has asked for.
DEFAULTS = {
    "Policy.filter": runstore.RunSelection(),
    "Completion.outcome": Outcome.SUCCEEDED,
    "StreamQuery.from_seq": 1,
    "StreamQuery.heartbeat_seconds": 10,
    "StreamQuery.patience_seconds": 60,
}
# What the client does not show of an answer.
NOT_SHOWN = {
    "AppendEvents": {"deduplicated"},  # each of its events says so
    "CreateToken": {"deduplicated"},  # it has a secret or is an error
    "ArchiveRun": {"deduplicated"},
    "DeletePolicy": {"deduplicated"},
    "DeleteRun": {"deduplicated"},
    "EraseEvents": {"deduplicated"},
    "EraseSubject": {"deduplicated"},
    "ForkRun": {"deduplicated"},
    "GetStatistics": {"counted_position"},
    "PlaceHold": {"deduplicated"},
    "PutPolicy": {"deduplicated"},
    "ReleaseHold": {"deduplicated"},
    "RemoveLabel": {"deduplicated"},
    "RestoreRun": {"deduplicated"},
    "RevokeToken": {"deduplicated"},
    "SaveRun": {"deduplicated"},
    "SearchEvents": {"indexed_position"},
    "SetLabel": {"deduplicated"},
    "SetLimits": {"deduplicated"},
}
# A pin of a run has no label any more.
A_PIN = ("config_refs.label", "configs.ref.label")
# What the client gives other names than the contracts do.
RENAMED = {
    ("deleted_snapshots", "snapshots"),
    ("deleted_task_writes", "task_writes"),
    ("length", "highlights"),
    ("next_page_token", ""),
    ("projects", ""),
    ("seq", "problem_seq"),
    ("start", "highlights"),
}
# What a call sends under other names than its arguments have.
SENT_AS = {
    ("run_id", "fork_run_id"),
    ("after", "run_id"),
    ("2026-01-02", "from_day"),
    ("2026-01-02", "to_day"),
}
# Arguments that exclude each other.
CHOSEN: Mapping[str, Mapping[str, Any]] = {
    "get_version": {"selector": {"label": "label"}},
    "place_hold": {"run_id": None},
    "get_snapshot": {"plan_version_id": None, "at_seq": None},
}
# Arguments of which one is needed.
LEAST: Mapping[str, Mapping[str, Any]] = {"place_hold": {"run_id": "run_id"}}


def calls() -> Iterator[Any]:
    for module in NOUNS:
        for name, function in getmembers(module, isfunction):
            returned = function.__annotations__["return"]
            if function.__module__ == module.__name__ and returned.startswith("Call["):
                yield pytest.param(function, id=name)


def made(function: Callable[..., Call[Any]]) -> Call[Any]:
    return function(**arguments(function) | CHOSEN.get(function.__name__, {}))


def answer(call: Call[Any]) -> Message:
    """An empty answer to a call."""
    contract = importlib.import_module(f"runstore.v1.{call.service}_pb2").DESCRIPTOR
    (service,) = contract.services_by_name.values()
    return GetMessageClass(service.methods_by_name[call.method].output_type)()


@pytest.mark.parametrize("function", [*calls()])
def test_a_call_sends_everything_it_is_given(function: Callable[..., Call[Any]]) -> None:
    call = made(function)

    assert type(call.request).__name__ == f"{call.method}Request"
    assert set(unset(call.request)) - NOT_SENT == set()


@pytest.mark.parametrize("function", [*calls()])
def test_a_call_sends_texts_in_the_fields_of_their_names(
    function: Callable[..., Call[Any]],
) -> None:
    sent = set(texts_in(made(function).request))

    assert {(text, name) for text, name in sent if text != name} <= SENT_AS


@pytest.mark.parametrize("function", [*calls()])
def test_a_call_sends_nothing_that_it_is_not_given(function: Callable[..., Call[Any]]) -> None:
    given = needed(function) | LEAST.get(function.__name__, {})
    known = {name for name, value in leaves_of(given) if value is not None}

    assert {*set_in(function(**given).request)} - known <= SENT_ANYWAY


def test_what_is_not_given_is_empty() -> None:
    defaults = {
        f"{kind.__name__}.{field.name}": default
        for kind in value_types()
        for field in fields(kind)
        for make in [field.default_factory]
        for default in [field.default if make is MISSING else make()]
        if default is not MISSING
    }

    assert {name: value for name, value in defaults.items() if value} == DEFAULTS


def test_runs_are_listed_newest_first_unless_asked_otherwise() -> None:
    def order(**asked: Any) -> str:
        request = runs.list_runs("p", RunQuery(**asked), "").request
        return RunOrder(request.order).name  # type: ignore[attr-defined]

    assert order() == "CREATED_DESC"
    assert order(oldest_first=True) == "CREATED_ASC"
    assert order(oldest_first=True, order=RunOrder.UPDATED_DESC) == "UPDATED_DESC"


def test_pages_are_as_long_as_the_server_allows() -> None:
    assert PAGE.high == PAGE_SIZE


@pytest.mark.parametrize("function", [*calls()])
def test_a_call_shows_everything_of_its_answer(function: Callable[..., Call[Any]]) -> None:
    call = made(function)
    filling = Filling()
    value = call.decode(filling.fill(answer(call)))

    unseen = {
        leaf
        for leaf in filling.leaves
        if not leaf.endswith(A_PIN) and call.decode(Filling(leaf).fill(answer(call))) == value
    }

    assert unseen == NOT_SHOWN.get(call.method, set())


@pytest.mark.parametrize("function", [*calls()])
def test_a_call_shows_the_fields_of_its_answer_under_their_names(
    function: Callable[..., Call[Any]],
) -> None:
    call = made(function)
    filling = Filling()
    value = call.decode(filling.fill(answer(call)))

    places = {
        repr(leaf): path.removesuffix(".json").rpartition(".")[2]
        for path, leaf in filling.leaves.items()
        if not isinstance(leaf, bool) and leaf not in {1, 2}
    }
    leaves = ((name, repr(leaf)) for name, leaf in leaves_of(value))
    shown = {(places[leaf], name) for name, leaf in leaves if leaf in places}

    assert {(sent, name) for sent, name in shown if sent != name} <= RENAMED


def test_a_payload_is_sent_with_its_type_and_as_what_it_is() -> None:
    text = payloads.payload_message(Payload("{}", "a/b"), "payload")
    data = payloads.payload_message(Payload(b"{}", "a/b"), "payload")
    ref = payloads.payload_message(Ref(bytes(32)), "payload")

    assert text
    assert data
    assert ref
    assert (text.json, text.content_type) == ("{}", "a/b")
    assert (data.binary, data.content_type) == (b"{}", "a/b")
    assert ref.ref == bytes(32)
    assert payloads.payload_value(text) == Payload("{}", "a/b")
    assert payloads.payload_value(data) == Payload(b"{}", "a/b")


def test_what_is_not_given_is_not_sent() -> None:
    assert snapshot_message({}, "") == Snapshot()
    assert event_message(NewEvent("t", event_id="e"), "") == Event(type="t", event_id="e")


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(2026, 1, 2, 3, 4, 5, 1, timezone(timedelta(hours=5, minutes=30))),
        datetime.max.replace(tzinfo=UTC),
    ],
)
def test_a_time_keeps_its_microseconds(at: datetime) -> None:
    message = times.time_message(at, "at")

    assert message
    assert message.ToDatetime(UTC) == times.time_value(message) == at


@pytest.mark.parametrize("span", [timedelta(0), timedelta(days=9, microseconds=1)])
def test_a_span_keeps_its_microseconds(span: timedelta) -> None:
    assert times.span_value(times.span_message(span, "span")) == span


def set_in(message: Message) -> Iterator[str]:
    """The names of the fields that are set, without those that are messages themselves."""
    for field, value in message.ListFields():
        if field.message_type and not field.message_type.GetOptions().map_entry:
            for each in value if field.is_repeated else [value]:
                yield from set_in(each)
        else:
            yield field.name


def value_types() -> Iterator[type]:
    for module in iter_modules(values.__path__, f"{values.__name__}."):
        for kind in vars(importlib.import_module(module.name)).values():
            if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module.name:
                yield kind


def texts_in(message: Message, name: str = "") -> Iterator[tuple[str, str]]:
    """The texts that are not made by the client, each with the name of its field."""
    if message.DESCRIPTOR.name == "Payload":
        yield from [(message.json.strip('"'), name)] if name != "metadata" else []
        return
    for field, value in message.ListFields():
        is_map = field.message_type and field.message_type.GetOptions().map_entry
        parts = value.values() if is_map else value if field.is_repeated else [value]
        for each in parts:
            if isinstance(each, Message):
                yield from texts_in(each, field.name)
            elif isinstance(each, str) and field.name != "request_id":
                yield each, field.name
