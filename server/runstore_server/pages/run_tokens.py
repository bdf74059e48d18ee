"""Page tokens of listings of runs."""

from __future__ import annotations

from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.contract.runs import RunCursor
from runstore_storage.contract.times import microseconds, time_at

from runstore_server.pages import page_tokens
from runstore_server.validation.requests import refuse

MIN_NAMES = 2


def issue(request: rpc.ListRunsRequest, cursor: RunCursor) -> str:
    """A token for the page that begins after `cursor`."""
    names: list[int | str] = [microseconds(cursor.at), cursor.run]
    if cursor.as_of is not None:
        names.append(microseconds(cursor.as_of))
    return page_tokens.issue(request, names)


def read(request: rpc.ListRunsRequest) -> RunCursor | None:
    """The cursor of the request's token; None if it has no token."""
    if not request.page_token:
        return None
    names = page_tokens.read(request, request.page_token)
    if len(names) < MIN_NAMES:
        refuse("page_token", "was issued by an older server; begin again with the first page")
    at, run, *as_of = names
    return RunCursor(time_at(int(at)), int(run), time_at(int(as_of[0])) if as_of else None)
