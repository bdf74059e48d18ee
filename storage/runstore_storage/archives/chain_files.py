"""The events of an archive: files of what stays of them, each beside one of what may be erased."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import ExitStack, closing

from runstore_storage.archives import lines
from runstore_storage.archives.row_files import RowFile
from runstore_storage.contract.events import RecordedEvent
from runstore_storage.contract.runs import Run

EVENTS = 50_000
# Large payloads end a pair of files early, so that none grows without bound.
TEXT_BYTES = 64 << 20


class _Pair:
    """A file of what stays, and the one of what may be erased of the same events."""

    def __init__(self, number: int, opened: ExitStack) -> None:
        self.number = number
        self.chain, self.sealed = (
            opened.enter_context(closing(RowFile(f"{kind}-{number:06}.jsonl.gz")))
            for kind in ("chain", "sealed")
        )
        self.events = 0

    def add_births(self, runs: Sequence[Run]) -> None:
        self.chain.add(map(lines.open_run, runs))
        self.sealed.add(map(lines.sealed_run, runs))

    def add(self, events: Sequence[RecordedEvent]) -> int:
        """Add events until the pair is full; the number of those that were added."""
        for count, event in enumerate(events):
            if self._is_full:
                return count
            self.chain.add([lines.open_event(event)])
            self.sealed.add([lines.sealed_event(event)])
            self.events += 1
        return len(events)

    @property
    def _is_full(self) -> bool:
        return self.events >= EVENTS or self.sealed.text_bytes >= TEXT_BYTES


async def chain_files(
    births: Sequence[Run], pages: AsyncIterator[Sequence[RecordedEvent]]
) -> AsyncGenerator[tuple[RowFile, RowFile]]:
    """Pairs of files with all of the events; the births are in the first.

    A pair lasts until the next is asked for.
    """
    with ExitStack() as opened:
        pair = _Pair(1, opened)
        await asyncio.to_thread(pair.add_births, births)
        async for events in pages:
            added = 0
            while True:
                added += await asyncio.to_thread(pair.add, events[added:])
                if added == len(events):
                    break
                yield pair.chain, pair.sealed
                opened.close()
                pair = _Pair(pair.number + 1, opened)
        yield pair.chain, pair.sealed
