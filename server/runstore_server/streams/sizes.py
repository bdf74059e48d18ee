"""How many bytes messages have, before they are made: within a few hundred for each event."""

from __future__ import annotations

from collections.abc import Iterable

from runstore_storage.contract.events import EventPage, RecordedEvent
from runstore_storage.contract.feed import FeedEntry

# Of an event without its texts and its payload, in either encoding.
EVENT_BYTES = 400


def page_bytes(page: EventPage) -> int:
    return sum(map(_event_bytes, page.events))


def entries_bytes(entries: Iterable[FeedEntry]) -> int:
    return sum(_entry_bytes(entry) for entry in entries)


def _event_bytes(recorded: RecordedEvent) -> int:
    event = recorded.event
    texts = event.type, event.node_id, event.actor, event.model, event.tool, *event.tags
    return EVENT_BYTES + sum(map(len, texts)) + (len(event.payload.content) if event.payload else 0)


def _entry_bytes(entry: FeedEntry) -> int:
    labels = sum(len(name) + len(value) for name, value in entry.labels.items())
    return _event_bytes(entry.recorded) + len(entry.project) + len(entry.run_id) + labels
