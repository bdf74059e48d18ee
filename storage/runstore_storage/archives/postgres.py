"""Archives out of Postgres and an object store. The contract is `ArchiveStore`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, aclosing, contextmanager
from functools import partial
from hashlib import sha256
from typing import TypeVar

from runstore_storage.archives import manifest
from runstore_storage.archives.chain_files import chain_files
from runstore_storage.archives.collecting import Collected, Part, collect
from runstore_storage.archives.row_files import CHUNK_BYTES, Entry, RowFile, compressed
from runstore_storage.contract.archives import ArchiveFile
from runstore_storage.contract.errors import Overloaded, SnapshotNotFound
from runstore_storage.contract.events import EVERY_EVENT, EventPage, RecordedEvent
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.pages import PAGE_BYTES
from runstore_storage.contract.scope import Scope, bound, current_scope
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, consistent, reading
from runstore_storage.payloads.compression import decompress
from runstore_storage.payloads.objects import Objects
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.reading.paging import event_page
from runstore_storage.sql import blobs, heads
from runstore_storage.sql.heads import Head

PAGE_EVENTS = 1000
# How many exports of a process read from the database at a time: it serves other calls, too.
TURNS = 2
# How many exports a process makes at a time: each has files in the folder of temporary files.
OPEN = 8
RETRY_AFTER_SECONDS = 5.0

T = TypeVar("T")


class PostgresArchives:
    """Shares the connections of the store that makes it."""

    def __init__(self, engine: Database, objects: Objects, offloading: Offloading) -> None:
        self._engine = engine
        self._objects = objects
        self._offloading = offloading
        self._turns = asyncio.Semaphore(TURNS)
        self._open = 0

    def export_run(self, key: RunKey) -> AsyncGenerator[ArchiveFile]:
        return self._files(key, current_scope())

    async def _files(self, key: RunKey, scope: Scope) -> AsyncGenerator[ArchiveFile]:
        export = _Export(self._engine, self._objects, self._offloading, self._turns, scope, key)
        with self._room(), ExitStack() as opened:
            found = await export.collect(opened)
            async with aclosing(export.chain(found)) as pairs:
                async for pair in pairs:
                    for file in pair:
                        yield export.rows(file)
            for file in found.files:
                yield export.rows(file)
            async with aclosing(export.parts(found)) as parts:
                async for each in parts:
                    yield each
            for name, stored in sorted(found.objects.items()):
                chunks = self._objects.read(stored.location, 0, stored.size)
                entry = Entry(f"objects/{name.hex()}", name.hex(), stored.size)
                yield export.file(entry, chunks)
            await export.check()
            content = await asyncio.to_thread(manifest.manifest, found, export.entries)
            yield ArchiveFile(manifest.NAME, len(content), _cut(content))

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Count an export while the context lasts; raise `Overloaded` if it is one too many."""
        if self._open >= OPEN:
            raise Overloaded(
                RETRY_AFTER_SECONDS, f"this server makes {OPEN} exports, which is the most"
            )
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


class _Export:
    """One export: what it reads, each time over a connection of its own, and what it has sent."""

    def __init__(
        self,
        engine: Database,
        objects: Objects,
        offloading: Offloading,
        turns: asyncio.Semaphore,
        scope: Scope,
        key: RunKey,
    ) -> None:
        self.entries: list[Entry] = []
        self._engine = engine
        self._objects = objects
        self._offloading = offloading
        self._turns = turns
        self._scope = scope
        self._key = key

    async def collect(self, opened: ExitStack) -> Collected:
        """All but events, parts and artifacts' bytes, as of one moment."""
        with bound(self._scope):
            async with self._turns, consistent(self._engine) as conn:
                return await collect(conn, self._key, self._offloading, opened)

    async def chain(self, found: Collected) -> AsyncGenerator[tuple[RowFile, RowFile]]:
        """The events up to that moment."""
        births = [run for _, run in found.history]
        async with (
            aclosing(self._pages(found)) as pages,
            aclosing(chain_files(births, pages)) as pairs,
        ):
            async for pair in pairs:
                yield pair

    async def parts(self, found: Collected) -> AsyncGenerator[ArchiveFile]:
        """The parts of the snapshots."""
        for some in _batches(sorted(found.parts.items())):
            contents = await self._read(partial(self._contents, some))
            for name in some:
                packed = await asyncio.to_thread(compressed, contents[name])
                entry = Entry(f"parts/{name.hex()}.gz", sha256(packed).hexdigest(), len(packed))
                yield self.file(entry, _cut(packed))

    async def check(self) -> None:
        """Raise `RunNotFound` if the run was deleted meanwhile."""
        await self._read(lambda conn: heads.get(conn, self._key))

    def rows(self, file: RowFile) -> ArchiveFile:
        """A file of rows, to be sent."""
        return self.file(file.finish(), _sent(file))

    def file(self, entry: Entry, chunks: AsyncIterator[bytes]) -> ArchiveFile:
        """A file to be sent; the manifest will name it."""
        self.entries.append(entry)
        return ArchiveFile(entry.name, entry.size, chunks)

    async def _pages(self, found: Collected) -> AsyncGenerator[list[RecordedEvent]]:
        from_seq = 1
        while from_seq <= found.head.last_seq:
            page = await self._read(partial(self._page, found.head, from_seq))
            yield list(page.events)
            from_seq = page.next_from_seq

    async def _page(self, head: Head, from_seq: int, conn: Connection) -> EventPage:
        page = await event_page(conn, head, from_seq, limit=PAGE_EVENTS, where=EVERY_EVENT)
        return await self._offloading.load_page(page)

    async def _contents(self, some: Mapping[bytes, Part], conn: Connection) -> dict[bytes, bytes]:
        wanted = {(part.run, part.blob): name for name, part in some.items()}
        stored = await blobs.read(conn, wanted)
        if gone := wanted.keys() - stored.keys():
            name = wanted[gone.pop()].hex()
            raise SnapshotNotFound(
                self._key.run_id, f"with the part {name}: it was deleted during the export"
            )
        return {wanted[key]: decompress(packed) for key, packed in stored.items()}

    async def _read(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        with bound(self._scope):
            async with self._turns, reading(self._engine) as conn:
                return await read(conn)


def _batches(parts: list[tuple[bytes, Part]]) -> Iterator[dict[bytes, Part]]:
    """The parts, as many at a time as a page of events may have bytes, but at least one."""
    some: dict[bytes, Part] = {}
    size = 0
    for name, part in parts:
        if some and size + part.raw_bytes > PAGE_BYTES:
            yield some
            some, size = {}, 0
        some[name] = part
        size += part.raw_bytes
    if some:
        yield some


async def _sent(file: RowFile) -> AsyncIterator[bytes]:
    """The chunks of a file, which is closed after the last."""
    for chunk in file.chunks():
        yield chunk
    file.close()


async def _cut(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), CHUNK_BYTES):
        yield content[start : start + CHUNK_BYTES]
