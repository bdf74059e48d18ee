"""One format for all sinks: CloudEvents 1.0, with payloads byte for byte."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from entries import START, entry
from hypothesis import given
from hypothesis import strategies as st
from runstore_server.convert.payloads import payload_of
from runstore_server.sinks.cloud_events import cloud_event
from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.payloads import Payload
from server.services.test_payload_bytes import CORPUS

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
TRACE_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def read(body: bytes) -> CloudEvent:
    """The event as the CloudEvents package reads it."""
    found = from_structured(HTTPMessage({}, body), JSONFormat(), CloudEvent)
    assert isinstance(found, CloudEvent)
    return found


def test_attributes_say_what_the_event_is_and_where_it_stands() -> None:
    event = Event(type="tool.called", trace_parent=TRACE_PARENT)
    given_entry = entry(2**40, project="acme/eu", run_id="run 7", seq=2**33, event=event)

    found = read(cloud_event(given_entry)).get_attributes()

    key = given_entry.recorded.hash.hex()
    assert found == {
        "specversion": "1.0",
        "id": key,
        "source": "/runstore/acme%2Feu/runs/run%207",
        "type": "dev.runstore.event.tool.called",
        "subject": "run 7",
        "time": given_entry.recorded.recorded_at,
        "datacontenttype": "application/json",
        "seq": str(2**33),
        "position": str(2**40),
        "eventhash": key,
        "traceparent": TRACE_PARENT,
    }


def test_data_holds_the_event_under_the_names_of_the_contract() -> None:
    event = Event(
        type="model.called",
        event_id="e1",
        payload=Payload('{"a":1}', "application/json"),
        node_id="n",
        actor="a",
        model="m",
        tool="t",
        tags=("x", "y"),
        usage=Usage(1, 2, 3, 4, 5),
        trace_parent="not W3C",
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
    )

    found = read(cloud_event(entry(labels={"env": "prod"}, event=event)))

    assert found.get_extension("traceparent") is None
    assert found.get_data() == {
        "project": "acme",
        "run_id": "run",
        "labels": {"env": "prod"},
        "seq": 1,
        "event_id": "e1",
        "type": "model.called",
        "node_id": "n",
        "actor": "a",
        "model": "m",
        "tool": "t",
        "tags": ["x", "y"],
        "usage": {
            "input_tokens": 1,
            "output_tokens": 2,
            "cached_input_tokens": 3,
            "cost_micros": 4,
            "duration_us": 5,
        },
        "trace_parent": "not W3C",
        "occurred_at": "2026-01-01T00:00:00Z",
        "recorded_at": START.replace(microsecond=679).isoformat().replace("+00:00", "Z"),
        "payload": {"content_type": "application/json", "json": {"a": 1}},
    }


def test_empty_fields_are_left_out() -> None:
    found = read(cloud_event(entry(event=Event(type="t", event_id="e"))))

    assert set(found.get_data()) == {"project", "run_id", "seq", "event_id", "type", "recorded_at"}


@pytest.mark.parametrize("name", CORPUS)
def test_a_payload_is_embedded_byte_for_byte(name: str) -> None:
    payload = payload_of(CORPUS[name])

    body = cloud_event(entry(event=Event(type="t", payload=payload)))

    if isinstance(payload.content, str):
        assert body.endswith(b'"json":' + payload.data + b"}}}")
        json.loads(body, parse_int=str)
    else:
        found = json.loads(body)["data"]["payload"]
        assert b64decode(found["binary"], validate=True) == payload.content
        assert found.get("content_type", "") == payload.content_type


def test_an_entry_is_the_same_bytes_every_time() -> None:
    assert cloud_event(entry(labels={"b": "1", "a": "2"})) == cloud_event(
        entry(labels={"b": "1", "a": "2"})
    )


@given(TEXTS, TEXTS, TEXTS)
def test_any_texts_come_back(project: str, run_id: str, kind: str) -> None:
    found = read(cloud_event(entry(project=project, run_id=run_id, event=Event(type=kind))))

    data = found.get_data()
    assert isinstance(data, dict)
    assert (data["project"], data["run_id"], data["type"]) == (project, run_id, kind)
    assert unquote(found.get_type().removeprefix("dev.runstore.event.")) == kind
    assert unquote(found.get_subject() or "") == run_id
    assert [unquote(part) for part in found.get_source().split("/")[2::2]] == [project, run_id]
    assert not re.search("[\0-\x1f\x7f-\x9f]", found.get_type() + (found.get_subject() or ""))
