"""The project and the run that a request is about."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Path, Query
from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.contract.heads import RunKey

from runstore_server.convert.runs import key_of, project_of
from runstore_server.http.parameters.checks import checked
from runstore_server.http.visitors import Known
from runstore_server.validation.bounds import PROJECT, REQUIRED_ID
from runstore_server.validation.requests import refuse

PROJECT_HEADER = "X-Runstore-Project"


async def project(
    visitor: Known,
    header: Annotated[
        str | None,
        Header(alias=PROJECT_HEADER, description="The project, in UTF-8; `default` if not given."),
    ] = None,
    query: Annotated[
        str | None,
        Query(
            alias="project",
            max_length=PROJECT.high,
            description=f"The project, for clients that cannot send the header {PROJECT_HEADER}.",
        ),
    ] = None,
) -> str:
    """The project the request is about, which the caller may read."""
    given = None if header is None else _utf8(header)
    if given is not None and query is not None and given != query:
        refuse("project", f"contradicts the header {PROJECT_HEADER}")
    chosen = project_of(query or given or "")
    checked(rpc.ListRunsRequest(project=chosen), {})
    visitor.allow(chosen)
    return chosen


Project = Annotated[str, Depends(project)]


async def key(
    project: Project,
    run_id: Annotated[
        str,
        Path(
            min_length=REQUIRED_ID.low,
            max_length=REQUIRED_ID.high,
            description="The run's id, percent-encoded: `a/b` is `a%2Fb`.",
        ),
    ],
) -> RunKey:
    """The run the request is about."""
    request = rpc.GetRunRequest(project=project, run_id=run_id)
    checked(request, {})
    return key_of(request)


Key = Annotated[RunKey, Depends(key)]


def _utf8(header: str) -> str:
    """The header's text, which HTTP libraries decode as Latin-1."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        refuse(PROJECT_HEADER, "is not UTF-8")
