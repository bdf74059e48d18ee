"""Events: appended, listed, streamed."""

from __future__ import annotations

from typing import Any

from runstore_storage.contract.events import OWN_EVENT_TYPES

from runstore_server.convert.runs import project_of
from runstore_server.validation.bounds import (
    FULL_BATCH,
    GUARDED,
    HEARTBEAT,
    ID,
    LONG_PAGE,
    OF_RUN,
    PROJECT,
    REQUIRED_ID,
    SEQ,
    TAGS,
    Integer,
    Seconds,
)
from runstore_server.validation.checks import no_refs, requires, unique_event_ids
from runstore_server.validation.rules import Found, MessageRules, Rules, report

COUNT = Integer(0, 10**15)


def _type(message: Any, path: str, found: Found) -> None:
    if message.type in OWN_EVENT_TYPES:
        report(found, path + "type", f"{message.type} can only be written by the server")


def _one_project(message: Any, path: str, found: Found) -> None:
    project = project_of(message.project)
    for index, append in enumerate(message.appends):
        if append.project and project_of(append.project) != project:
            at = f"{path}appends[{index}].project"
            report(found, at, "must be empty or the request's project")


RULES: Rules = {
    "Event": MessageRules(
        {
            "event_id": ID,
            "type": REQUIRED_ID,
            "node_id": ID,
            "actor": ID,
            "model": ID,
            "tool": ID,
            "tags": TAGS,
            "trace_parent": ID,
            "subjects": TAGS,
        },
        checks=(_type, no_refs("payload")),
    ),
    "Usage": MessageRules(
        {
            "input_tokens": COUNT,
            "output_tokens": COUNT,
            "cached_input_tokens": COUNT,
            "cost_micros": COUNT,
            "duration": Seconds(0, 864_000_000),
        }
    ),
    "EventFilter": MessageRules({"types": TAGS, "node_ids": TAGS, "tags": TAGS}),
    "AppendEventRequest": MessageRules(OF_RUN | GUARDED, required=("event",)),
    "AppendEventsRequest": MessageRules(
        OF_RUN | GUARDED | {"events": FULL_BATCH}, checks=(unique_event_ids,)
    ),
    "AppendManyRequest": MessageRules(
        {"project": PROJECT, "appends": FULL_BATCH}, apart=("appends",), checks=(_one_project,)
    ),
    "AppendEventStreamRequest": MessageRules({"correlation_id": ID}, required=("append",)),
    "ListEventsRequest": MessageRules(OF_RUN | {"from_seq": SEQ, "page_size": LONG_PAGE}),
    "StreamEventsRequest": MessageRules(
        OF_RUN | {"from_seq": SEQ, "heartbeat_interval": HEARTBEAT},
        checks=(requires("wait_for_run", "follow"),),
    ),
}
