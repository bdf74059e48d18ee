"""Which events of a run are read."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
from runstore.v1 import events_pb2
from runstore_storage.contract.events import EventFilter

from runstore_server.convert.events import filter_of
from runstore_server.http.parameters.checks import checked, first_of
from runstore_server.http.parameters.queries import Many, integer, texts
from runstore_server.validation.bounds import SEQ, TAGS

_FIELDS = {"types": "type", "node_ids": "node_id", "tags": "tag"}


async def event_filter(
    type_: Annotated[Many, texts(TAGS, "Any of these types.", alias="type")] = (),
    node_id: Annotated[Many, texts(TAGS, "Any of these nodes.")] = (),
    tag: Annotated[Many, texts(TAGS, "All of these tags.")] = (),
) -> EventFilter:
    """Which events are selected."""
    message = events_pb2.EventFilter(types=type_, node_ids=node_id, tags=tag)
    checked(message, _FIELDS)
    return filter_of(message)


async def first_seq(
    from_seq: Annotated[int | None, integer(SEQ, "First seq, inclusive.")] = None,
    alias: Annotated[int | None, integer(SEQ, "Another name of from_seq.", alias="fromSeq")] = None,
) -> int:
    """The first seq to read."""
    return first_of("from_seq", from_seq, "fromSeq", alias)


ReadArchive = Annotated[
    bool,
    Query(
        description="Whether to read archived events, which takes longer; else they are refused."
    ),
]
Selected = Annotated[EventFilter, Depends(event_filter)]
FirstSeq = Annotated[int, Depends(first_seq)]
