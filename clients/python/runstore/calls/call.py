"""A call: which RPC, which request, and what its response means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

T = TypeVar("T")
Decode = Callable[[Any], T]
Page = tuple[list[T], str]
"""Items of a listing, and the token of the next page; empty on the last page."""

ADMIN = "admin_service"
RUNS = "run_service"
CONFIGS = "config_service"
ARTIFACTS = "artifact_service"
FEED = "feed_service"
PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One RPC. `decode` makes a value of its response."""

    service: str
    method: str
    request: Message
    decode: Decode[T]


def page_of(items: str, decode: Decode[T]) -> Decode[Page[T]]:
    """Decodes a page of a listing, whose items are in the field `items`."""
    return lambda response: (
        [decode(each) for each in getattr(response, items)],
        response.next_page_token,
    )
