"""What requests ask for: parameters, and the messages they are checked as.

The rules are those of the RPCs: parameters become the RPC's request, which is validated, and what
breaks a rule is reported under the parameter's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Header, Path, Query
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from runstore.v1 import events_pb2, feed_pb2, runs_pb2
from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.contract.events import EventFilter
from runstore_storage.contract.feed import FeedFilter
from runstore_storage.contract.heads import RunKey

from runstore_server.convert.events import filter_of
from runstore_server.convert.feed import feed_filter_of
from runstore_server.convert.runs import TIME_BOUNDS, TimeBound, key_of, project_of
from runstore_server.edge.errors import InvalidRequest, Violation
from runstore_server.validation.bounds import ID, MAX_INT64, TAGS, TOKEN
from runstore_server.validation.requests import refuse, validate
from runstore_server.validation.runs import EXTERNAL_ID, OBJECTIVE_WORDS, STATUSES

PROJECT_HEADER = "X-Runstore-Project"
STATUS_PREFIX = "RUN_STATUS_"

FromSeq = Annotated[int | None, Query(ge=0, le=MAX_INT64, description="First seq, inclusive.")]
FromSeqAlias = Annotated[
    int | None,
    Query(alias="fromSeq", ge=0, le=MAX_INT64, description="The same as from_seq."),
]
PageToken = Annotated[
    str,
    Query(max_length=TOKEN.high, description="`next_page_token` of the page before."),
]
Namespace = Annotated[str | None, Query(max_length=ID.high, description="Namespace of snapshots.")]
_Many = tuple[str, ...]
_Id = Annotated[str, Query(max_length=ID.high)]
_From = Annotated[str | None, Query(description="RFC 3339, inclusive.")]
_Before = Annotated[str | None, Query(description="RFC 3339, exclusive.")]


def checked(request: Message, names: Mapping[str, str]) -> None:
    """Raise `InvalidRequest` for what breaks a rule; `names` maps a field to its parameter."""
    try:
        validate(request)
    except InvalidRequest as error:
        raise InvalidRequest([_renamed(each, names) for each in error.violations]) from None


def _renamed(violation: Violation, names: Mapping[str, str]) -> Violation:
    field, bracket, place = violation.field.partition("[")
    return Violation(names.get(field, field) + bracket + place, violation.description)


async def project(
    header: Annotated[
        str | None,
        Header(alias=PROJECT_HEADER, description="Project of the run, in UTF-8; else `default`."),
    ] = None,
    query: Annotated[
        str | None,
        Query(
            alias="project",
            max_length=ID.high,
            description=f"The same as the header {PROJECT_HEADER}, for who cannot send headers.",
        ),
    ] = None,
) -> str:
    """The project the request is about."""
    given = None if header is None else _utf8(header)
    if given is not None and query is not None and given != query:
        refuse("project", f"is not what the header {PROJECT_HEADER} says")
    chosen = project_of(query or given or "")
    checked(rpc.ListRunsRequest(project=chosen), {})
    return chosen


def _utf8(header: str) -> str:
    """The header's text, which HTTP libraries hand over as Latin-1."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        refuse(PROJECT_HEADER, "is not UTF-8")


Project = Annotated[str, Depends(project)]


async def key(
    project: Project,
    run_id: Annotated[
        str,
        Path(
            min_length=1,
            max_length=ID.high,
            description="The run's id, percent-encoded: `a/b` is `a%2Fb`.",
        ),
    ],
) -> RunKey:
    """The run the request is about."""
    request = rpc.GetRunRequest(project=project, run_id=run_id)
    checked(request, {})
    return key_of(request)


Key = Annotated[RunKey, Depends(key)]


async def time_bounds(
    created_from: _From = None,
    created_before: _Before = None,
    updated_from: _From = None,
    updated_before: _Before = None,
    completed_from: _From = None,
    completed_before: _Before = None,
) -> dict[TimeBound, Timestamp]:
    """When runs were saved, last written and completed."""
    given = {
        "created_from": created_from,
        "created_before": created_before,
        "updated_from": updated_from,
        "updated_before": updated_before,
        "completed_from": completed_from,
        "completed_before": completed_before,
    }
    return {
        bound: at
        for bound in TIME_BOUNDS
        for name in (bound.removesuffix("_time"),)
        if (at := _time(name, given[name])) is not None
    }


async def config_filter(
    config_kind: _Id = "",
    config_name: Annotated[
        str, Query(max_length=ID.high, description="Pinned to a version of it; with config_kind.")
    ] = "",
    config_version: Annotated[int, Query(ge=0, le=MAX_INT64, description="0 means any.")] = 0,
    config_digest: _Id = "",
) -> rpc.ConfigFilter | None:
    """What runs are pinned to."""
    if not (config_kind or config_name or config_version or config_digest):
        return None
    return rpc.ConfigFilter(
        kind=config_kind, name=config_name, version=config_version, digest=config_digest
    )


_Times = Annotated[dict[TimeBound, Timestamp] | None, Depends(time_bounds)]
_Config = Annotated[rpc.ConfigFilter | None, Depends(config_filter)]


async def run_filter(
    status: Annotated[
        _Many,
        Query(
            max_length=STATUSES.high, description="Any of these: `running` or `RUN_STATUS_RUNNING`."
        ),
    ] = (),
    tag: Annotated[_Many, Query(max_length=TAGS.high, description="All of these.")] = (),
    label: Annotated[
        _Many, Query(max_length=TAGS.high, description="All of these `key=value`.")
    ] = (),
    any_tag: Annotated[
        _Many, Query(max_length=TAGS.high, description="At least one of these.")
    ] = (),
    plan_id: _Id = "",
    model: Annotated[str, Query(max_length=ID.high, description="Used by an event.")] = "",
    tool: Annotated[str, Query(max_length=ID.high, description="Used by an event.")] = "",
    parent_run_id: _Id = "",
    root_run_id: Annotated[
        str, Query(max_length=ID.high, description="This run and all below it.")
    ] = "",
    external_system: Annotated[
        str, Query(max_length=ID.high, description="Of an execution in this system.")
    ] = "",
    external_id: Annotated[
        str,
        Query(
            max_length=EXTERNAL_ID.high,
            description="Of this execution there; needs external_system.",
        ),
    ] = "",
    objective: Annotated[
        str,
        Query(
            max_length=OBJECTIVE_WORDS.high, description="Words of the objective, as in web search."
        ),
    ] = "",
    times: _Times = None,
    config: _Config = None,
) -> rpc.RunFilter:
    """Which runs are listed."""
    if external_id and not external_system:
        refuse("external_id", "needs external_system")
    return rpc.RunFilter(
        statuses=[_status(name, place) for place, name in enumerate(status)],
        tags=tag,
        any_tags=any_tag,
        labels=labels_of(label),
        plan_id=plan_id,
        model=model,
        tool=tool,
        parent_run_id=parent_run_id,
        root_run_id=root_run_id,
        external=rpc.ExternalFilter(system=external_system, id=external_id)
        if external_system
        else None,
        objective=objective,
        config=config,
        **(times or {}),
    )


RunFilter = Annotated[rpc.RunFilter, Depends(run_filter)]


async def event_filter(
    type_: Annotated[
        _Many, Query(alias="type", max_length=TAGS.high, description="Any of these types.")
    ] = (),
    node_id: Annotated[_Many, Query(max_length=TAGS.high, description="Any of these nodes.")] = (),
    tag: Annotated[_Many, Query(max_length=TAGS.high, description="All of these tags.")] = (),
) -> EventFilter:
    """Which events are selected."""
    message = events_pb2.EventFilter(types=type_, node_ids=node_id, tags=tag)
    checked(message, {"types": "type", "node_ids": "node_id", "tags": "tag"})
    return filter_of(message)


Events = Annotated[EventFilter, Depends(event_filter)]


async def first_seq(from_seq: FromSeq = None, alias: FromSeqAlias = None) -> int:
    """Where reading begins."""
    if from_seq is not None and alias is not None and from_seq != alias:
        refuse("fromSeq", "is not what from_seq says")
    return max(from_seq or alias or 1, 1)


FirstSeq = Annotated[int, Depends(first_seq)]


async def feed_filter(
    type_: Annotated[
        _Many, Query(alias="type", max_length=TAGS.high, description="Any of these types.")
    ] = (),
    tag: Annotated[_Many, Query(max_length=TAGS.high, description="All of these tags.")] = (),
    label: Annotated[
        _Many, Query(max_length=TAGS.high, description="Runs with all of these `key=value`.")
    ] = (),
) -> FeedFilter:
    """Which entries are selected."""
    message = feed_pb2.FeedFilter(types=type_, tags=tag, labels=labels_of(label))
    checked(message, {"types": "type", "tags": "tag", "labels": "label"})
    return feed_filter_of(message)


Entries = Annotated[FeedFilter, Depends(feed_filter)]


async def first_position(
    from_position: Annotated[
        int | None, Query(ge=0, le=MAX_INT64, description="First position, inclusive.")
    ] = None,
    alias: Annotated[
        int | None,
        Query(alias="fromPosition", ge=0, le=MAX_INT64, description="The same as from_position."),
    ] = None,
) -> int:
    """Where reading the feed begins."""
    if from_position is not None and alias is not None and from_position != alias:
        refuse("fromPosition", "is not what from_position says")
    return max(from_position or alias or 1, 1)


FirstPosition = Annotated[int, Depends(first_position)]


def _status(name: str, place: int) -> runs_pb2.RunStatus.ValueType:
    known = STATUS_PREFIX + name.upper().removeprefix(STATUS_PREFIX)
    number = runs_pb2.RunStatus.DESCRIPTOR.values_by_name.get(known)
    if number is None or not number.number:
        refuse(f"status[{place}]", f"has no value {name[: ID.high]!r}")
    return runs_pb2.RunStatus.ValueType(number.number)


def labels_of(given: _Many) -> dict[str, str]:
    """Labels given as `key=value`."""
    labels: dict[str, str] = {}
    for place, each in enumerate(given):
        name, equals, value = each.partition("=")
        if not equals:
            refuse(f"label[{place}]", "must be key=value")
        if labels.setdefault(name, value) != value:
            refuse(f"label[{place}]", "gives a label another value: no run has both")
    return labels


def _time(name: str, text: str | None) -> Timestamp | None:
    if text is None:
        return None
    at = Timestamp()
    try:
        at.FromJsonString(text)
    except ValueError:
        refuse(name, "is not an RFC 3339 time, like 2026-01-31T12:00:00Z; + is sent as %2B")
    return at
