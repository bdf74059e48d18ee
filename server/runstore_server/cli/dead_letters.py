"""The dead letters of sinks: reading them all, and delivering them again."""

from __future__ import annotations

from collections.abc import AsyncIterator

from runstore_storage.contract.feed import DeadLetter, FeedEntry, FeedStore

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

    The first that fails ends the command. Letters of runs that were deleted are removed, too.
    """
    delivered, is_known = 0, False
    async for letter in letters_of(feed, sink.name):
        if letter_id not in (None, letter.id):
            continue
        entry = await feed.read_entry(letter.position)
        if entry and (failure := await _failure(sink, entry)):
            raise failed(f"delivered {delivered}; letter {letter.id}: {failure}")
        await feed.remove_dead_letter(letter.id)
        is_known = True
        delivered += bool(entry)
    if letter_id and not is_known:
        raise failed(f"{sink.name} has no dead letter {letter_id}")
    return delivered


async def _failure(sink: Sink, entry: FeedEntry) -> str | None:
    """Deliver the event of a letter; why it did not arrive."""
    if entry.is_payload_lost:
        return PAYLOAD_LOST
    (outcome,) = await sink.deliver([entry])
    return f"failed again: {outcome}" if outcome else None
