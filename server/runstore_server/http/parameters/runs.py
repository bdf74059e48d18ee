"""Which runs are listed."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
from google.protobuf.timestamp_pb2 import Timestamp
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1 import runs_pb2

from runstore_server.convert.runs import TIME_BOUNDS, TimeBound
from runstore_server.http.parameters.checks import labels_of
from runstore_server.http.parameters.queries import Many, integer, text, texts
from runstore_server.validation.bounds import ID, SEQ, STATUSES, TAGS
from runstore_server.validation.requests import refuse
from runstore_server.validation.runs import EXTERNAL_ID, OBJECTIVE_WORDS

STATUS_PREFIX = "RUN_STATUS_"
FIELDS = {
    "filter.statuses": "status",
    "filter.tags": "tag",
    "filter.labels": "label",
    "filter.plan_id": "plan_id",
    "filter.model": "model",
    "filter.tool": "tool",
    "filter.parent_run_id": "parent_run_id",
    "filter.any_tags": "any_tag",
    "filter.root_run_id": "root_run_id",
    "filter.external.system": "external_system",
    "filter.external.id": "external_id",
    "filter.config.kind": "config_kind",
    "filter.config.name": "config_name",
    "filter.config.version": "config_version",
    "filter.config.digest": "config_digest",
    "filter.objective": "objective",
}
_Id = Annotated[str, text(ID)]
_From = Annotated[str | None, Query(description="RFC 3339, inclusive.")]
_Before = Annotated[str | None, Query(description="RFC 3339, exclusive.")]


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
        str, text(ID, "Runs pinned to a version of this config; needs config_kind.")
    ] = "",
    config_version: Annotated[int, integer(SEQ, "The version; 0 means any.")] = 0,
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
        Many, texts(STATUSES, "Any of these: `running` or `RUN_STATUS_RUNNING`.")
    ] = (),
    tag: Annotated[Many, texts(TAGS, "All of these tags.")] = (),
    label: Annotated[Many, texts(TAGS, "All of these labels, as `key=value`.")] = (),
    any_tag: Annotated[Many, texts(TAGS, "At least one of these tags.")] = (),
    plan_id: _Id = "",
    model: Annotated[str, text(ID, "Used by an event of the run.")] = "",
    tool: Annotated[str, text(ID, "Used by an event of the run.")] = "",
    parent_run_id: _Id = "",
    root_run_id: Annotated[str, text(ID, "This run and all below it.")] = "",
    external_system: Annotated[str, text(ID, "The system of the external reference.")] = "",
    external_id: Annotated[
        str, text(EXTERNAL_ID, "The id in that system; needs external_system.")
    ] = "",
    objective: Annotated[
        str, text(OBJECTIVE_WORDS, "Words of the objective, in the syntax of web search.")
    ] = "",
    times: _Times = None,
    config: _Config = None,
) -> rpc.RunFilter:
    """Which runs are listed."""
    if external_id and not external_system:
        refuse("external_id", "needs external_system")
    return rpc.RunFilter(
        statuses=[_status(index, name) for index, name in enumerate(status)],
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


Selected = Annotated[rpc.RunFilter, Depends(run_filter)]


def _status(index: int, name: str) -> runs_pb2.RunStatus.ValueType:
    known = STATUS_PREFIX + name.upper().removeprefix(STATUS_PREFIX)
    number = runs_pb2.RunStatus.DESCRIPTOR.values_by_name.get(known)
    if number is None or not number.number:
        refuse(f"status[{index}]", f"has no value {name[: ID.high]!r}")
    return runs_pb2.RunStatus.ValueType(number.number)


def _time(name: str, given: str | None) -> Timestamp | None:
    if given is None:
        return None
    at = Timestamp()
    try:
        at.FromJsonString(given)
    except ValueError:
        refuse(name, "is not an RFC 3339 time, like 2026-01-31T12:00:00Z; + is sent as %2B")
    return at
