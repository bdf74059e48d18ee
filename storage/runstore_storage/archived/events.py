"""Events of archives, through a cache of files that is bounded in bytes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

from runstore_storage.archived.archive import OpenedArchive, Part, opened
from runstore_storage.archived.pairs import Pair
from runstore_storage.contract.events import EventFilter, RecordedEvent
from runstore_storage.payloads.objects import Objects
from runstore_storage.sql.archive_states import Place

# What is kept on disk, unpacked, beside what is being read.
CACHE_BYTES = 256 << 20
CACHED_MANIFESTS = 1000
# How long what nobody reads is kept there.
IDLE_SECONDS = 60.0
# How many pairs of files are fetched at a time.
FETCHES = 2
_PARSED = 250


@dataclass(slots=True)
class _Kept:
    pair: Pair
    users: int = 0
    is_out: bool = False
    used_at: float = 0.0


class ArchivedEvents:
    """Reads archives for one process."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self._manifests: OrderedDict[Place, OpenedArchive] = OrderedDict()
        self._kept: OrderedDict[tuple[Place, int], _Kept] = OrderedDict()
        self._turns: WeakValueDictionary[tuple[Place, int], asyncio.Lock] = WeakValueDictionary()
        self._room = asyncio.Semaphore(FETCHES)
        self._timer: asyncio.TimerHandle | None = None

    async def open(self, place: Place) -> OpenedArchive:
        """The archive at a place; raise `ArchiveInvalid` if it is not what was written there."""
        async with self._alone((place, 0)):
            found = self._manifests.get(place)
            if found is None:
                found = self._manifests[place] = await opened(self.objects, place)
                if len(self._manifests) > CACHED_MANIFESTS:
                    self._manifests.popitem(last=False)
        return found

    async def page(
        self,
        place: Place,
        from_seq: int,
        to_seq: int,
        *,
        limit: int,
        max_bytes: int,
        where: EventFilter,
    ) -> tuple[list[RecordedEvent], int, bool]:
        """As `sql.events.page`: selected events, their payloads' bytes, and whether it was cut."""
        archive = await self.open(place)
        found: list[RecordedEvent] = []
        size = 0
        while from_seq <= to_seq:
            part = archive.part_of(from_seq)
            last = min(part.last_seq, to_seq)
            async with self._pair(archive, part) as pair:
                async for some in pair.events(from_seq, last, _PARSED):
                    for each in filter(lambda of: where.matches(of.event), some):
                        found.append(each)
                        size += len(each.event.payload.data) if each.event.payload else 0
                        if len(found) == limit or size >= max_bytes:
                            return found, size, True
            from_seq = last + 1
        return found, size, False

    def close(self) -> None:
        """Remove what is kept."""
        if self._timer:
            self._timer.cancel()
        while self._kept:
            self._drop(next(iter(self._kept)))

    @asynccontextmanager
    async def _pair(self, archive: OpenedArchive, part: Part) -> AsyncIterator[Pair]:
        """A pair of files, fetched once for all who want it at a time."""
        key = (archive.place, part.number)
        async with self._alone(key):
            kept = self._kept.get(key)
            if kept is None:
                async with self._room:
                    kept = self._kept[key] = _Kept(await archive.fetch(self.objects, part))
            self._kept.move_to_end(key)
            kept.users += 1
        try:
            self._make_room()
            yield kept.pair
        finally:
            kept.users -= 1
            kept.used_at = asyncio.get_running_loop().time()
            self._watch()
            if kept.is_out and not kept.users:
                kept.pair.close()

    @asynccontextmanager
    async def _alone(self, key: tuple[Place, int]) -> AsyncIterator[None]:
        """Look for a manifest (0) or a pair of files, and fetch it, one after the other."""
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            yield

    def _watch(self) -> None:
        """Look again when the time of what was read longest ago is over."""
        idle = [each.used_at for each in self._kept.values() if not each.users]
        if idle and not self._timer:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(min(idle) + IDLE_SECONDS, self._expire)

    def _expire(self) -> None:
        """Remove what nobody has read for long."""
        self._timer = None
        now = asyncio.get_running_loop().time()
        for key, each in [*self._kept.items()]:
            if not each.users and each.used_at + IDLE_SECONDS <= now:
                self._drop(key)
        self._watch()

    def _make_room(self) -> None:
        size = sum(each.pair.size for each in self._kept.values())
        while size > CACHE_BYTES and len(self._kept) > 1:
            key = next(iter(self._kept))
            size -= self._kept[key].pair.size
            self._drop(key)

    def _drop(self, key: tuple[Place, int]) -> None:
        kept = self._kept.pop(key)
        kept.is_out = True
        if not kept.users:
            kept.pair.close()
