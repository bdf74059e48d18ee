"""The dead letters of sinks: reading them all, and delivering them again."""

from __future__ import annotations

from collections.abc import AsyncIterator

from runstore_storage.contract.feed import DeadLetter, FeedStore

from runstore_server.cli.failures import failed
from runstore_server.relay.delivery import PAYLOAD_LOST
from runstore_server.sinks.sink import Sink

PAGE_LETTERS = 100


async def letters_of(feed: FeedStore, sink: str) -> AsyncIterator[DeadLetter]:
    """Yield the sink's letters in the order of their ids."""
    after = 0
    while page := await feed.list_dead_letters(sink, limit=PAGE_LETTERS, after=after):
        for letter in page:
            yield letter
        after = page[-1].id


async def redeliver(feed: FeedStore, sink: Sink, letter_id: int | None) -> int:
    """Deliver one letter, or all for None, and remove what arrives; how many that was.

    The first that fails ends the command.
    """
    delivered = 0
    async for letter in letters_of(feed, sink.name):
        if letter_id not in (None, letter.id):
            continue
        if failure := await _failure(feed, sink, letter):
            raise failed(f"delivered {delivered}; letter {letter.id}: {failure}")
        await feed.remove_dead_letter(letter.id)
        delivered += 1
    if letter_id and not delivered:
        raise failed(f"{sink.name} has no dead letter {letter_id}")
    return delivered


async def _failure(feed: FeedStore, sink: Sink, letter: DeadLetter) -> str | None:
    """Deliver a letter; why it did not arrive."""
    entry = await feed.read_entry(letter.position)
    if entry is None:
        return f"position {letter.position} is no longer in the feed"
    if entry.is_payload_lost:
        return PAYLOAD_LOST
    (outcome,) = await sink.deliver([entry])
    return f"failed again: {outcome}" if outcome else None
