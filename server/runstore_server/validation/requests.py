"""Requests checked against `bounds` before the store sees them; every violation is found at once.

A message type is compiled once into a list of checks, one a field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date
from functools import cache
from operator import attrgetter
from typing import Any, NoReturn

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from runstore.v1 import payloads_pb2
from runstore.v1.statistics_pb2 import STATISTICS_DIMENSION_RUN
from runstore_storage.contract.events import OWN_EVENT_TYPES
from runstore_storage.search.queries import parse

from runstore_server.edge.errors import InvalidRequest, Violation
from runstore_server.validation.bounds import (
    MAX_DIMENSIONS,
    REQUIRED,
    RULES,
    Entries,
    Items,
    Rule,
    Seconds,
    Text,
    Whole,
)
from runstore_server.validation.json_texts import json_problem

MAX_VIOLATIONS = 50
SHA256_BYTES = 32
MAX_ARTIFACT_METADATA = 64 << 10
# Years 1 to 9999, which google.protobuf.Timestamp is defined for.
MIN_TIMESTAMP, MAX_TIMESTAMP = -62_135_596_800, 253_402_300_799
NANOS = 1_000_000_000
# Bytes of one character.
MAX_UTF8 = 4

Found = list[Violation]
Check = Callable[[Any, str, Found], None]


class _Full(Exception):
    """Enough violations were found."""


def validate(request: Message) -> None:
    """Return when the request keeps every rule; raise `InvalidRequest` with what breaks one."""
    found: Found = []
    with suppress(_Full):
        _walk(request, "", found)
    if found:
        raise InvalidRequest(found)


def refuse(field: str, description: str) -> NoReturn:
    """Refuse a request for one field that only its meaning shows to be wrong."""
    raise InvalidRequest([Violation(field, description)])


def _report(found: Found, field: str, description: str) -> None:
    found.append(Violation(field, description))
    if len(found) == MAX_VIOLATIONS:
        raise _Full


def _walk(message: Any, path: str, found: Found) -> None:
    for check in _plan(message.DESCRIPTOR):
        check(message, path, found)


@cache
def _plan(descriptor: Descriptor) -> tuple[Check, ...]:
    """The checks of a message type: one a field that can break a rule, then its own."""
    rules, required = RULES.get(descriptor.name, {}), REQUIRED.get(descriptor.name, ())
    checks = [
        check
        for field in descriptor.fields
        if (check := _field_check(field, rules.get(field.name), field.name in required))
    ]
    return (*checks, *_MEANINGS.get(descriptor.name, ()))


def _field_check(field: FieldDescriptor, rule: Rule | None, is_required: bool) -> Check | None:
    name = field.name
    if isinstance(rule, Entries):
        return _entries(name, rule)
    if field.is_repeated:
        return _items(field, rule if isinstance(rule, Items) else None)
    if field.message_type is not None:
        return _message(name, rule if isinstance(rule, Seconds) else None, is_required)
    if field.enum_type is not None:
        return _enum(name, frozenset(field.enum_type.values_by_number))
    if isinstance(rule, Text):
        return _text(name, rule, field.has_presence)
    if isinstance(rule, Whole):
        return _whole(name, rule)
    return None


def _text(name: str, rule: Text, has_presence: bool) -> Check:
    value_of, low, surely = attrgetter(name), rule.low, rule.high
    if rule.most_bytes is not None:
        surely = min(surely, rule.most_bytes // MAX_UTF8)

    def check(message: Any, path: str, found: Found) -> None:
        value = value_of(message)
        if low <= len(value) <= surely and "\0" not in value:
            return
        if not has_presence or message.HasField(name):
            _check_text(value, rule, path + name, found)

    return check


def _check_text(value: str, rule: Text, path: str, found: Found) -> None:
    if not rule.low <= len(value) <= rule.high:
        _report(found, path, f"must have {rule}, has {len(value)}")
    elif rule.most_bytes is not None and (size := len(value.encode())) > rule.most_bytes:
        _report(found, path, f"must have {rule}, has {size} bytes")
    elif "\0" in value:
        _report(found, path, "must not hold the character NUL")


def _whole(name: str, rule: Whole) -> Check:
    value_of, low, high = attrgetter(name), rule.low, rule.high

    def check(message: Any, path: str, found: Found) -> None:
        value = value_of(message)
        # 0 is also what an absent field reads as; where it may not be 0 the rule says so.
        if not low <= value <= high:
            _report(found, path + name, f"must be {rule}, is {value}")

    return check


def _enum(name: str, numbers: frozenset[int]) -> Check:
    def check(message: Any, path: str, found: Found) -> None:
        if getattr(message, name) not in numbers:
            _report(found, path + name, f"has no value {getattr(message, name)}")

    return check


def _message(name: str, rule: Seconds | None, is_required: bool) -> Check:
    def check(message: Any, path: str, found: Found) -> None:
        if not message.HasField(name):
            if is_required:
                _report(found, path + name, "must be set")
        elif rule:
            _check_seconds(getattr(message, name), rule, path + name, found)
        else:
            _walk(getattr(message, name), f"{path}{name}.", found)

    return check


def _items(field: FieldDescriptor, rule: Items | None) -> Check | None:
    name, each = field.name, rule.each if rule else None
    numbers = frozenset(field.enum_type.values_by_number) - {0} if field.enum_type else None
    is_needed = rule is not None and rule.low > 0

    def check(message: Any, path: str, found: Found) -> None:
        items = getattr(message, name)
        if not items and not is_needed:
            return
        if rule and not rule.low <= len(items) <= rule.high:
            _report(
                found, path + name, f"must have {rule.low}..{rule.high} items, has {len(items)}"
            )
            return
        for place, item in enumerate(items):
            at = f"{path}{name}[{place}]"
            if each:
                _check_text(item, each, at, found)
            elif numbers is not None:
                if item not in numbers:
                    _report(found, at, f"has no value {item}")
            else:
                _walk(item, at + ".", found)

    return check


def _entries(name: str, rule: Entries) -> Check:
    def check(message: Any, path: str, found: Found) -> None:
        entries = getattr(message, name)
        if len(entries) > rule.high:
            _report(found, path + name, f"must have 0..{rule.high} items, has {len(entries)}")
            return
        for key in entries:
            at = f"{path}{name}[{json.dumps(key[: rule.keys.high], ensure_ascii=False)}]"
            _check_text(key, rule.keys, at, found)
            if rule.values:
                _check_text(entries[key], rule.values, at, found)
            else:
                _walk(entries[key], at + ".", found)

    return check


def _check_seconds(value: Any, rule: Seconds, path: str, found: Found) -> None:
    if not -NANOS < value.nanos < NANOS or (value.seconds * value.nanos) < 0:
        _report(found, path, "is not a valid duration")
    elif not rule.low * NANOS <= value.seconds * NANOS + value.nanos <= rule.high * NANOS:
        _report(found, path, f"must be {rule}")


def _timestamp(message: Any, path: str, found: Found) -> None:
    if not (MIN_TIMESTAMP <= message.seconds <= MAX_TIMESTAMP and 0 <= message.nanos < NANOS):
        _report(found, path.removesuffix("."), "is not a valid time")


def _event(message: Any, path: str, found: Found) -> None:
    if message.type in OWN_EVENT_TYPES:
        _report(found, path + "type", f"{message.type} is written by the server alone")
    _refuse_refs(message, ("payload",), path, found)


def _payload(message: Any, path: str, found: Found) -> None:
    kind = message.WhichOneof("content")
    if kind is None:
        _report(found, path.removesuffix("."), "must have content: json or binary")
    elif kind == "ref" and len(message.ref) != SHA256_BYTES:
        _report(found, path + "ref", f"must have {SHA256_BYTES} bytes, has {len(message.ref)}")
    elif kind == "json" and (problem := json_problem(message.json)):
        _report(found, path + "json", problem)


def _refuse_refs(message: Any, names: Iterable[str], path: str, found: Found) -> None:
    for name in names:
        if message.HasField(name) and getattr(message, name).WhichOneof("content") == "ref":
            _report(found, f"{path}{name}.ref", "is allowed in the parts of a snapshot alone")


def _no_refs(*names: str) -> Check:
    def check(message: Any, path: str, found: Found) -> None:
        _refuse_refs(message, names, path, found)

    return check


def _unique(name: str, key: Callable[[Any], object], what: str) -> Check:
    def check(message: Any, path: str, found: Found) -> None:
        seen: set[object] = set()
        for place, item in enumerate(getattr(message, name)):
            value = key(item)
            if value and value in seen:
                _report(found, f"{path}{name}[{place}]", f"repeats {what}")
            seen.add(value)

    return check


def _object(name: str) -> Check:
    def check(message: Any, path: str, found: Found) -> None:
        if not message.HasField(name):
            return
        payload: payloads_pb2.Payload = getattr(message, name)
        is_object = payload.WhichOneof("content") == "json" and payload.json.lstrip(
            " \t\r\n"
        ).startswith("{")
        if not is_object:
            _report(found, path + name, "must be a JSON object")

    return check


def _of_this_run(name: str) -> Check:
    def check(message: Any, path: str, found: Found) -> None:
        if getattr(message, name).run_id not in ("", message.run_id):
            _report(found, f"{path}{name}.run_id", "is another run than the request's")

    return check


def _needs(name: str, other: str) -> Check:
    def check(message: Any, path: str, found: Found) -> None:
        if getattr(message, name) and not getattr(message, other):
            _report(found, path + name, f"needs {other}")

    return check


def _excludes(name: str, other: str) -> Check:
    def check(message: Any, path: str, found: Found) -> None:
        if getattr(message, name) and getattr(message, other):
            _report(found, path + other, f"must be left out with {name}")

    return check


def _config_ref(message: Any, path: str, found: Found) -> None:
    if not (message.version or message.digest or message.label):
        _report(found, path.removesuffix("."), "must have a version, a digest or a label")
    elif message.label and (message.version or message.digest):
        _report(found, path + "label", "must be left out with version or digest")


def _names_artifact(message: Any, path: str, found: Found) -> None:
    if message.artifact_id:
        for name in ("run_id", "name", "version"):
            if getattr(message, name):
                _report(found, path + name, "must be left out with artifact_id")
    elif not (message.run_id and message.name):
        _report(found, path + "artifact_id", "must be set, or run_id and name")


def _described(message: Any, path: str, found: Found) -> None:
    """What an upload and a link say of an artifact."""
    if len(message.sha256) not in {0, SHA256_BYTES}:
        _report(found, path + "sha256", f"must have {SHA256_BYTES} bytes or none")
    if message.metadata.ByteSize() > MAX_ARTIFACT_METADATA:
        _report(found, path + "metadata", f"must have at most {MAX_ARTIFACT_METADATA} bytes")


def _url(message: Any, path: str, found: Found) -> None:
    if not (message.url.isascii() and message.url.isprintable()) or " " in message.url:
        _report(found, path + "url", "must be printable ASCII without spaces")


def _search(message: Any, path: str, found: Found) -> None:
    if message.query and (problem := parse(message.query).problem):
        _report(found, path + "query", problem)


def _days(message: Any, path: str, found: Found) -> None:
    for name in ("from_day", "to_day"):
        if not _is_day(getattr(message, name)):
            _report(found, path + name, "is not a day: YYYY-MM-DD")


def _is_day(text: str) -> bool:
    with suppress(ValueError):
        return not text or date.fromisoformat(text).isoformat() == text
    return False


def _statistics(message: Any, path: str, found: Found) -> None:
    if len(set(message.group_by)) < len(message.group_by):
        _report(found, path + "group_by", "repeats a dimension")
    if message.label_key and len(message.group_by) >= MAX_DIMENSIONS:
        _report(found, path + "label_key", f"is one dimension more than {MAX_DIMENSIONS}")
    if message.include_descendants and not message.filter.run_ids:
        _report(found, path + "include_descendants", "needs filter.run_ids")
    if message.roll_up_to_root and STATISTICS_DIMENSION_RUN not in message.group_by:
        _report(found, path + "roll_up_to_root", "needs RUN in group_by")


_EVENT_IDS = _unique("events", lambda event: event.event_id, "an event_id of the request")


def _write_key(write: Any) -> object:
    return write.snapshot_id, write.task_id, write.index


_MEANINGS: dict[str, tuple[Check, ...]] = {
    "Timestamp": (_timestamp,),
    "Event": (_event,),
    "Payload": (_payload,),
    "TaskWrite": (_no_refs("payload"),),
    "Output": (_no_refs("payload", "provenance", "statistics"),),
    "Snapshot": (
        _object("metadata"),
        _unique("nodes", lambda node: node.node_id, "a node_id of the snapshot"),
    ),
    "Completion": (_EVENT_IDS,),
    "ConfigRef": (_config_ref,),
    "RegisterVersionRequest": (_no_refs("body", "metadata"), _object("metadata")),
    "SaveRunRequest": (_no_refs("plan"),),
    "AppendEventsRequest": (_EVENT_IDS,),
    "StreamEventsRequest": (_needs("wait_for_run", "follow"),),
    "PutSnapshotRequest": (
        _EVENT_IDS,
        _of_this_run("snapshot"),
        _unique("task_writes", _write_key, "a task write of the request"),
    ),
    "PutTaskWritesRequest": (_unique("writes", _write_key, "a task write of the request"),),
    "ListSnapshotsRequest": (_object("metadata"), _needs("before", "run_id")),
    "SearchEventsRequest": (_search,),
    "StatisticsFilter": (_days,),
    "GetStatisticsRequest": (_statistics,),
    "FollowFeedRequest": (_excludes("consumer", "from_position"),),
    "ArtifactHeader": (_object("metadata"), _described),
    "LinkArtifactRequest": (_object("metadata"), _described, _url),
    "DownloadArtifactRequest": (_names_artifact,),
    "GetArtifactRequest": (_names_artifact,),
    "CompleteRunRequest": (_EVENT_IDS, _of_this_run("final_snapshot")),
}
