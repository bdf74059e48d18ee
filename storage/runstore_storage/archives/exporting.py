"""An export under way: what it reads, and the files that it has sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, aclosing
from functools import partial
from hashlib import sha256
from typing import TypeVar

from runstore_storage.archives import manifest
from runstore_storage.archives.chain_files import chain_files
from runstore_storage.archives.collecting import Collected, Part, collect
from runstore_storage.archives.row_files import CHUNK_BYTES, Entry, RowFile, compressed
from runstore_storage.contract.archives import ArchiveFile
from runstore_storage.contract.errors import SnapshotNotFound
from runstore_storage.contract.events import RecordedEvent
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.pages import PAGE_BYTES
from runstore_storage.contract.scope import Scope, bound
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, consistent, reading
from runstore_storage.payloads.compression import decompress
from runstore_storage.payloads.objects import Objects
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.reading.history import History
from runstore_storage.sql import blobs, heads

PAGE_EVENTS = 1000

T = TypeVar("T")


class Export:
    """One export: what it reads, each time over a connection of its own, and what it has sent."""

    def __init__(
        self,
        engine: Database,
        objects: Objects,
        offloading: Offloading,
        history: History,
        turns: asyncio.Semaphore,
        scope: Scope,
        key: RunKey,
    ) -> None:
        self.entries: list[Entry] = []
        self._engine = engine
        self._objects = objects
        self._offloading = offloading
        self._history = history
        self._turns = turns
        self._scope = scope
        self._key = key

    async def files(self) -> AsyncGenerator[ArchiveFile]:
        """All files, the manifest last."""
        with ExitStack() as opened:
            found = await self.collect(opened)
            async with aclosing(self.chain(found)) as pairs:
                async for pair in pairs:
                    for file in pair:
                        yield self.rows(file)
            for file in found.files:
                yield self.rows(file)
            async with aclosing(self.parts(found)) as parts:
                async for each in parts:
                    yield each
            for name, stored in sorted(found.objects.items()):
                chunks = self._objects.read(stored.location, 0, stored.size)
                entry = Entry(f"objects/{name.hex()}", name.hex(), stored.size)
                yield self.file(entry, chunks)
            await self.check()
            content = await asyncio.to_thread(manifest.manifest, found, self.entries)
            yield ArchiveFile(manifest.NAME, len(content), _cut(content))

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
            with bound(self._scope):
                async with self._turns:
                    page = await self._history.page(
                        self._key, from_seq, limit=PAGE_EVENTS, end=found.head
                    )
            yield list(page.events)
            from_seq = page.next_from_seq

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
