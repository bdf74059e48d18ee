"""How many bytes messages have, before they are made: within a few hundred for each event."""

from __future__ import annotations

from collections.abc import Iterable

from runstore_storage.contract.event_rows import (
    PAYLOAD_BYTES,
    SUBJECTS,
    TAGS,
    TEXTS,
    EventRow,
    EventRows,
)
from runstore_storage.contract.events import EventPage, RecordedEvent
from runstore_storage.contract.feed import FeedEntry

# Of an event without its texts and its payload, in either encoding.
EVENT_BYTES = 400


def page_bytes(page: EventPage) -> int:
    if isinstance(page.events, EventRows):
        return sum(map(_row_bytes, page.events.rows))
    return sum(map(_event_bytes, page.events))


def entries_bytes(entries: Iterable[FeedEntry]) -> int:
    return sum(_entry_bytes(entry) for entry in entries)


def _event_bytes(recorded: RecordedEvent) -> int:
    event = recorded.event
    texts = event.type, event.node_id, event.actor, event.model, event.tool
    many = (*texts, *event.tags, *event.subjects)
    return EVENT_BYTES + sum(map(len, many)) + (len(event.payload.content) if event.payload else 0)


def _row_bytes(row: EventRow) -> int:
    texts: Iterable[str] = (*row[TEXTS], *row[TAGS], *(row[SUBJECTS] or ()))
    payload_bytes: int = row[PAYLOAD_BYTES]
    return EVENT_BYTES + sum(map(len, texts)) + payload_bytes


def _entry_bytes(entry: FeedEntry) -> int:
    labels = sum(len(name) + len(value) for name, value in entry.labels.items())
    return _event_bytes(entry.recorded) + len(entry.project) + len(entry.run_id) + labels
