"""Entries of the feed, its consumers, and what sinks gave up."""

from __future__ import annotations

import runstore
from runstore_storage.contract.feed import DeadLetter, FeedEntry

from runstore_server.json.events import event_value
from runstore_server.json.texts import time_text
from runstore_server.json.writing import JsonObject


def entry_value(entry: FeedEntry | runstore.FeedEntry) -> JsonObject:
    event = entry.recorded if isinstance(entry, FeedEntry) else entry.event
    return {
        "position": entry.position,
        "run_id": entry.run_id,
        "published_at": time_text(entry.published_at),
        "event": event_value(event),
    }


def consumer_value(consumer: runstore.Consumer) -> JsonObject:
    return {
        "name": consumer.name,
        "position": consumer.position,
        "last_position": consumer.last_position,
        "created_at": time_text(consumer.created_at),
        "committed_at": time_text(consumer.committed_at),
    }


def dead_letter_value(letter: DeadLetter, entry: FeedEntry | None) -> JsonObject:
    """A dead letter with its event's run and seq; `entry` is None if the feed no longer has it."""
    return {
        "id": letter.id,
        "position": letter.position,
        "run_id": entry.run_id if entry else "",
        "seq": entry.recorded.seq if entry else 0,
        "attempts": letter.attempts,
        "failed_at": time_text(letter.failed_at),
        "error": letter.error,
    }
