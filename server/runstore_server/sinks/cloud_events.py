"""A feed entry as a CloudEvent 1.0 in structured JSON, the format of every sink.

Attributes:

    id              the event's hash, 64 hexadecimal digits: unique over all projects and runs
    source          /runstore/<project>/runs/<run_id>, both percent-encoded
    type            dev.runstore.event.<event type>
    subject         the run_id
    time            recorded_at, by the database's clock; every event has one
    datacontenttype application/json
    seq, position   where the event is in its run and in the feed, in decimal: strings, because
                    CloudEvents has no integer wider than 32 bits
    eventhash       as id
    traceparent     the event's trace_parent, if it is a W3C one

In `type` and `subject` the characters that CloudEvents forbids (controls, noncharacters) and `%`
are percent-encoded; `data` has the texts unchanged.

`data` is the event under the names of the contract, without its empty fields. A payload is
`{"content_type": ..., "json": ...}`, the JSON text byte for byte as its writer sent it, or
`{"content_type": ..., "binary": ...}` in base64.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from datetime import datetime
from urllib.parse import quote

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.feed import FeedEntry
from runstore_storage.contract.payloads import Payload

CONTENT_TYPE = "application/cloudevents+json"
TYPE_PREFIX = "dev.runstore.event."

_FORMAT = JSONFormat()
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_FORBIDDEN = re.compile(
    "[\0-\x1f\x7f-\x9f%\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)


def event_key(entry: FeedEntry) -> str:
    """What identifies the event for receivers: its hash in hexadecimal."""
    return entry.recorded.hash.hex()


def cloud_event(entry: FeedEntry) -> bytes:
    """The entry as a CloudEvent; always the same bytes."""
    attributes = _FORMAT.write(CloudEvent(_attributes(entry)))
    return _with_member(attributes, b"data", _data(entry))


def _attributes(entry: FeedEntry) -> dict[str, str | datetime]:
    recorded, event = entry.recorded, entry.recorded.event
    attributes: dict[str, str | datetime] = {
        "specversion": "1.0",
        "id": event_key(entry),
        "source": f"/runstore/{quote(entry.project, safe='')}/runs/{quote(entry.run_id, safe='')}",
        "type": TYPE_PREFIX + _allowed(event.type),
        "subject": _allowed(entry.run_id),
        "time": recorded.recorded_at,
        "datacontenttype": "application/json",
        "seq": str(recorded.seq),
        "position": str(entry.position),
        "eventhash": event_key(entry),
    }
    if _TRACE_PARENT.fullmatch(event.trace_parent):
        attributes["traceparent"] = event.trace_parent
    return attributes


def _data(entry: FeedEntry) -> bytes:
    event = entry.recorded.event
    members = {name: value for name, value in _members(entry, event).items() if value}
    data = _json(members)
    # A payload's JSON text is spliced in; encoding it again would lose duplicate keys and spelling.
    return _with_member(data, b"payload", _payload(event.payload)) if event.payload else data


def _members(entry: FeedEntry, event: Event) -> dict[str, object]:
    return {
        "project": entry.project,
        "run_id": entry.run_id,
        "labels": dict(entry.labels),
        "seq": entry.recorded.seq,
        "event_id": event.event_id,
        "type": event.type,
        "node_id": event.node_id,
        "actor": event.actor,
        "model": event.model,
        "tool": event.tool,
        "tags": event.tags,
        "usage": _usage(event.usage) if event.usage else None,
        "trace_parent": event.trace_parent,
        "occurred_at": _time(event.occurred_at) if event.occurred_at else None,
        "recorded_at": _time(entry.recorded.recorded_at),
    }


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cost_micros": usage.cost_micros,
        "duration_us": usage.duration_us,
    }


def _payload(payload: Payload) -> bytes:
    head = _json({"content_type": payload.content_type} if payload.content_type else {})
    if isinstance(payload.content, str):
        return _with_member(head, b"json", payload.data)
    return _with_member(head, b"binary", b'"%s"' % b64encode(payload.data))


def _with_member(text: bytes, name: bytes, value: bytes) -> bytes:
    """The JSON object with one more member at its end; the value is a JSON text."""
    comma = b"" if text == b"{}" else b","
    return b"".join((text[:-1], comma, b'"', name, b'":', value, b"}"))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _time(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _allowed(text: str) -> str:
    return _FORBIDDEN.sub(lambda match: quote(match[0], safe=""), text)
