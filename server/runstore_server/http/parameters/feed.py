"""Which entries of the feed are read."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
from runstore.v1 import feed_pb2
from runstore_storage.contract.feed import FeedFilter

from runstore_server.convert.feed import feed_filter_of
from runstore_server.http.parameters.checks import checked, first_of, labels_of
from runstore_server.http.parameters.queries import Many, integer, texts
from runstore_server.validation.bounds import SEQ, TAGS

_FIELDS = {"types": "type", "tags": "tag", "labels": "label"}


async def feed_filter(
    type_: Annotated[Many, texts(TAGS, "Any of these types.", alias="type")] = (),
    tag: Annotated[Many, texts(TAGS, "All of these tags.")] = (),
    label: Annotated[Many, texts(TAGS, "All of these labels of the run, as `key=value`.")] = (),
) -> FeedFilter:
    """Which entries are selected."""
    message = feed_pb2.FeedFilter(types=type_, tags=tag, labels=labels_of(label))
    checked(message, _FIELDS)
    return feed_filter_of(message)


async def first_position(
    from_position: Annotated[int | None, integer(SEQ, "First position, inclusive.")] = None,
    alias: Annotated[
        int | None, integer(SEQ, "Another name of from_position.", alias="fromPosition")
    ] = None,
) -> int:
    """The first position to read."""
    return first_of("from_position", from_position, "fromPosition", alias)


AllowGaps = Annotated[
    bool,
    Query(description="Whether to leave archived events out; else the first of them is refused."),
]
Selected = Annotated[FeedFilter, Depends(feed_filter)]
FirstPosition = Annotated[int, Depends(first_position)]
