"""Events that are plain to see to keep every rule: they are read once, and checked together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from runstore.v1 import events_pb2
from runstore_storage.contract.events import OWN_EVENT_TYPES
from runstore_storage.contract.plain_events import Origin, PlainEvents

from runstore_server.validation.bounds import ID
from runstore_server.validation.json_texts import SMALL_TEXT, json_problem


def plain_events(messages: Sequence[events_pb2.Event]) -> PlainEvents | None:
    """The events as columns; None where one of them may break a rule, or is not plain."""
    ids: list[str] = []
    types: list[str] = []
    texts: list[str | None] = []
    origins: list[Origin] = []
    for each in messages:
        payload = each.payload
        text = payload.json or None
        if (
            payload.content_type
            or each.tags
            or each.subjects
            or each.HasField("usage")
            or each.HasField("occurred_at")
            or (each.HasField("payload") if text is None else not _is_plain(text))
        ):
            return None
        ids.append(each.event_id)
        types.append(each.type)
        texts.append(text)
        origins.append((each.node_id, each.actor, each.model, each.tool, each.trace_parent))
    different_ids, different_types = set(ids), set(types)
    if (
        not ids
        or len(different_ids) < len(ids)
        or "" in different_ids
        or "" in different_types
        or not OWN_EVENT_TYPES.isdisjoint(different_types)
    ):
        return None
    names = [*ids, *different_types, *chain.from_iterable(set(origins))]
    if max(map(len, names)) > ID.high or "\0" in "".join(names):
        return None
    return PlainEvents(ids, types, texts, origins)


def _is_plain(text: str) -> bool:
    return len(text) <= SMALL_TEXT and not json_problem(text)
