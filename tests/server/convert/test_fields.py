"""Nothing is left out or mixed up between messages and values: every field is tried alone."""

from __future__ import annotations

import importlib
import pkgutil
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from datetime import UTC
from inspect import getmembers, isfunction
from types import UnionType
from typing import Any

import pytest
from clients.filled import Filling, arguments, given, leaves_of, unset
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from runstore_server import convert
from runstore_server.convert.statistics import FIELDS

# What only a server sets.
SET_BY_SERVERS = {
    "Event.erased_at",
    "Event.hash",
    "Event.recorded_at",
    "Event.salt",
    "Event.sealed",
    "Event.seq",
    "Output.completed_at",
    "Output.outcome",
    "Output.revision",
    "Output.salt",
    "Output.usage",
    "Snapshot.content_hash",
    "Snapshot.created_at",
    "Snapshot.run_id",
    "Snapshot.salt",
}
# What is read of a request beside the value that is made of it.
READ_BESIDE: Mapping[str, set[str]] = {
    "ArtifactHeader": {"sha256", "size"},
    "CompleteRunRequest": {"expected_seq", "project", "run_id", "writer_epoch"},
    "CreateTokenRequest": {"project", "request_id"},  # of_server beside it
    "DownloadArtifactRequest": {"length", "offset"},
    "EraseEventsRequest": {"project", "reason", "request_id", "run_id"},
    "GetSnapshotRequest": {"namespace", "project", "run_id"},
    "GetStatisticsRequest": {"after", "min_position", "page_size", "page_token", "project", "wait"},
    "GetVersionRequest": {"kind", "name", "project"},
    "LinkArtifactRequest": {"sha256", "size", "url"},
    "ListArtifactsRequest": {"page_size", "page_token", "project"},
    "PlaceHoldRequest": {"request_id"},
    "Policy": {"put_at", "put_by"},
    "SearchEventsRequest": {"after", "min_position", "page_size", "page_token", "project", "wait"},
}
NOT_READ = SET_BY_SERVERS | {f"{of}.{name}" for of, names in READ_BESIDE.items() for name in names}
# What messages do not say of a value that has everything.
NOT_SAID = {
    "ConfigRef.label",  # a pin has none
    "Payload.content_type",  # of a payload that has the usual one
    *(f"StatisticsRow.{name}" for name in FIELDS.values()),  # only what the rows are grouped by
}
# Names that differ from those of the values, or what they hold.
RENAMED = {
    *("allowed", "at", "duration", "label_value", "length", "prefix", "project_pattern", "snippet"),
    *("archived", "erased_at", "start", "state", "include_external", "keep_last_snapshots"),
    *("keep_artifacts", "keep_events", "keep_run", "keep_search_text", "keep_snapshots"),
}


def functions(ending: str) -> Iterator[Callable[..., Any]]:
    for module in pkgutil.iter_modules(convert.__path__, f"{convert.__name__}."):
        found = importlib.import_module(module.name)
        for name, function in getmembers(found, isfunction):
            is_ours = function.__module__ == found.__name__ and not name.startswith("_")
            if is_ours and name.endswith(ending):
                yield function


def first_hint(function: Callable[..., Any]) -> Any:
    return next(iter(typing.get_type_hints(function).values()))


def beside_the_first(function: Callable[..., Any]) -> dict[str, Any]:
    """A value for each parameter but the message."""
    _, *others = (item for item in typing.get_type_hints(function).items() if item[0] != "return")
    return {name: given(hint, name) for name, hint in others}


def readers() -> dict[type[Message], list[Callable[..., Any]]]:
    """The functions that make values, by the messages that they take."""
    found: dict[type[Message], list[Callable[..., Any]]] = {}
    for function in functions("_of"):
        hint = first_hint(function)
        for kind in typing.get_args(hint) if isinstance(hint, UnionType) else [hint]:
            if isinstance(kind, type) and issubclass(kind, Message):
                found.setdefault(kind, []).append(function)
    return found


READERS = readers()
WRITERS = [
    pytest.param(function, id=function.__name__)
    for function in functions("_message")
    if is_dataclass(first_hint(function))
]


@pytest.mark.parametrize("kind", READERS, ids=lambda kind: kind.DESCRIPTOR.name)
def test_a_value_has_every_field_of_its_message(kind: type[Message]) -> None:
    filling = Filling()
    filling.fill(kind())

    def values(other: str = "") -> list[Any]:
        return [
            read(Filling(other).fill(kind()), **beside_the_first(read)) for read in READERS[kind]
        ]

    usual = values()
    unread = {leaf for leaf in filling.leaves if values(leaf) == usual}

    assert {leaf for leaf in unread if not NOT_READ & set(fields_on(leaf, kind))} == set()


@pytest.mark.parametrize("write", WRITERS)
def test_a_message_has_every_field_of_its_value(write: Callable[..., Message]) -> None:
    given = arguments(write)

    message = write(**given)

    known = {leaf for value in given.values() for leaf in leaves_of(value)}
    assert set(unset(message)) - NOT_SAID == set()
    assert {name for name, _ in set(said(message)) - known} - RENAMED == set()


def fields_on(leaf: str, kind: type[Message]) -> Iterator[str]:
    """The fields on the way to a leaf, each with the name of its message."""
    of = kind.DESCRIPTOR
    for name in leaf.split("."):
        yield f"{of.name}.{name}"
        of = of.fields_by_name[name].message_type


def said(message: Message, name: str = "") -> Iterator[tuple[str, Any]]:
    """The name and the value of each field; a payload is its content."""
    kind = message.DESCRIPTOR.name
    if isinstance(message, Timestamp):
        yield name, message.ToDatetime(UTC)
        return
    if isinstance(message, Duration):
        yield name, message.ToTimedelta()
        return
    for field, value in message.ListFields():
        is_map = field.message_type and field.message_type.GetOptions().map_entry
        for each in value.values() if is_map else value if field.is_repeated else [value]:
            if isinstance(each, Message):
                yield from said(each, field.name)
            else:
                yield (name if kind == "Payload" else field.name), each
