"""Page tokens of listings by time: when the last item of a page was made, and its id."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from google.protobuf.message import Message
from runstore.v1 import admin_service_pb2 as rpc
from runstore_storage.contract.times import microseconds, time_at

from runstore_server.pages import page_tokens

Cursor = TypeVar("Cursor")


def read(
    request: rpc.ListTokensRequest | rpc.ListHoldsRequest, of: Callable[[datetime, str], Cursor]
) -> Cursor | None:
    """Where the page before ended, by a time and an id; None for the first page."""
    if not request.page_token:
        return None
    at, id_ = page_tokens.read(request, request.page_token)
    return of(time_at(int(at)), id_)


def issue(request: Message, at: datetime, id_: str) -> str:
    """The token of the page behind that, as `read` reads it."""
    return page_tokens.issue(request, [microseconds(at), id_])
