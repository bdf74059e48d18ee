"""Page tokens: opaque to clients, bound to the query they continue."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import TypeVar

from google.protobuf.message import Message
from runstore_storage.contract.times import microseconds, time_at

from runstore_server.validation.requests import refuse

T = TypeVar("T")

# Fields that may differ from page to page.
_FREE_FIELDS = ("page_token", "page_size", "limit", "min_position", "after", "wait")
_SEPARATOR = "\0"  # in no name that a cursor is made of


def issue(request: Message, cursor: Sequence[int | str]) -> str:
    """A token for the page that begins after `cursor`."""
    names = [str(each) for each in cursor]
    text = _SEPARATOR.join([_digest(request, names), *names])
    return base64.urlsafe_b64encode(text.encode()).decode()


def following(request: Message, last: int | str | None) -> str:
    """The token of the page behind an item that a number or name stands for; empty for none."""
    return "" if last is None else issue(request, [last])


def read(request: Message, token: str) -> list[str]:
    """The cursor of a token, which must have been issued for this query."""
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        text = ""
    digest, *cursor = text.split(_SEPARATOR)
    if digest != _digest(request, cursor):
        refuse("page_token", "was not issued for this query")
    return cursor


def number(request: Message, token: str) -> int | None:
    """The number that ended the page before; None on the first page."""
    return int(read(request, token)[0]) if token else None


def at_moment(request: Message, at: datetime, id_: str) -> str:
    """The token of the page behind an item that a time and an id stand for."""
    return issue(request, [microseconds(at), id_])


def moment(request: Message, token: str, of: Callable[[datetime, str], T]) -> T | None:
    """The cursor of the time and id that ended the page before; None on the first page."""
    if not token:
        return None
    at, id_ = read(request, token)
    return of(time_at(int(at)), id_)


def _digest(request: Message, cursor: Sequence[str]) -> str:
    """Binds a cursor to its query: the message type, and each field that selects or orders."""
    query = type(request)()
    query.CopyFrom(request)
    for name in _FREE_FIELDS:
        if name in request.DESCRIPTOR.fields_by_name:
            query.ClearField(name)
    tied = blake2b(digest_size=8)
    for each in (request.DESCRIPTOR.full_name, *cursor):
        tied.update(each.encode() + _SEPARATOR.encode())
    tied.update(query.SerializeToString(deterministic=True))
    return tied.hexdigest()
