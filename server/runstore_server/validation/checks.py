"""Checks that messages of several nouns share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runstore.v1.payloads_pb2 import Payload

from runstore_server.validation.rules import Check, Found, report

SHA256_BYTES = 32


def no_refs(*names: str) -> Check:
    """These payloads have content of their own."""

    def check(message: Any, path: str, found: Found) -> None:
        for name in names:
            if message.HasField(name) and getattr(message, name).WhichOneof("content") == "ref":
                report(found, f"{path}{name}.ref", "is allowed only in the parts of a snapshot")

    return check


def json_object(name: str) -> Check:
    """The payload, where it is set, is a JSON object."""

    def check(message: Any, path: str, found: Found) -> None:
        if not message.HasField(name):
            return
        payload: Payload = getattr(message, name)
        is_object = payload.WhichOneof("content") == "json" and payload.json.lstrip(
            " \t\r\n"
        ).startswith("{")
        if not is_object:
            report(found, path + name, "must be a JSON object")

    return check


def unique(name: str, key: Callable[[Any], object], what: str) -> Check:
    """No two items of the list have the same key; an empty key may repeat."""

    def check(message: Any, path: str, found: Found) -> None:
        seen: set[object] = set()
        for index, item in enumerate(getattr(message, name)):
            value = key(item)
            if value and value in seen:
                report(found, f"{path}{name}[{index}]", f"repeats {what}")
            seen.add(value)

    return check


def of_this_run(name: str) -> Check:
    """The message in this field names the request's run, or none."""

    def check(message: Any, path: str, found: Found) -> None:
        if getattr(message, name).run_id not in ("", message.run_id):
            report(found, f"{path}{name}.run_id", "must be empty or the request's run_id")

    return check


def requires(name: str, other: str) -> Check:
    """Where the first field is set, so is the other."""

    def check(message: Any, path: str, found: Found) -> None:
        if getattr(message, name) and not getattr(message, other):
            report(found, path + name, f"requires {other}")

    return check


def excludes(name: str, other: str) -> Check:
    """Where the first field is set, the other is not."""

    def check(message: Any, path: str, found: Found) -> None:
        if getattr(message, name) and getattr(message, other):
            report(found, path + other, f"must not be set together with {name}")

    return check


unique_event_ids = unique("events", lambda event: event.event_id, "an event_id of the request")
