"""Pairs of files of events, fetched from the object store: checked, unpacked, and kept on disk."""

from __future__ import annotations

import asyncio
import os
import zlib
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from hashlib import sha256
from itertools import pairwise
from tempfile import TemporaryFile
from typing import NamedTuple

from runstore_storage.archived.parsing import MALFORMED, recorded_event
from runstore_storage.contract.errors import ArchiveInvalid
from runstore_storage.contract.events import RecordedEvent
from runstore_storage.payloads.objects import ObjectMissing, Objects

_GZIP = 31


class File(NamedTuple):
    """A file as the manifest names it."""

    name: str
    sha256: str
    size: int
    rows: int


class _Lines:
    """The lines of a file, unpacked into the folder of temporary files."""

    def __init__(self, run_id: str, file: File, opened: ExitStack) -> None:
        self._run_id = run_id
        self._file = file
        self._unpacked = opened.enter_context(TemporaryFile())  # noqa: SIM115 - closed with `opened`
        self._packed = zlib.decompressobj(_GZIP)
        self._digest = sha256()
        self._starts = array("Q", [0])
        self.size = 0

    async def fetch(self, objects: Objects, folder: str) -> None:
        """Get all of it; raise `ArchiveInvalid` unless it is what the manifest names."""
        try:
            async for piece in objects.read_all(f"{folder}/{self._file.name}"):
                await asyncio.to_thread(self._add, piece)
            await asyncio.to_thread(self._end)
        except ObjectMissing as error:
            raise self.invalid("is missing") from error
        except zlib.error as error:
            raise self.invalid("is damaged") from error

    def read(self, first: int, count: int) -> Sequence[bytes]:
        """So many lines from one on; it may be called in several threads."""
        start, end = self._starts[first], self._starts[first + count]
        data = os.pread(self._unpacked.fileno(), end - start, start)
        edges = (each - start for each in self._starts[first : first + count + 1])
        return [data[a:b] for a, b in pairwise(edges)]

    def invalid(self, problem: str) -> ArchiveInvalid:
        return ArchiveInvalid(self._run_id, self._file.name, problem)

    def _add(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._write(self._packed.decompress(piece))

    def _end(self) -> None:
        self._write(self._packed.flush())
        self._unpacked.flush()
        if self._digest.hexdigest() != self._file.sha256:
            raise self.invalid("is not what the manifest names")
        if len(self._starts) - 1 != self._file.rows:
            raise self.invalid("has another number of rows than the manifest names")

    def _write(self, text: bytes) -> None:
        at = text.find(b"\n")
        while at >= 0:
            self._starts.append(self.size + at + 1)
            at = text.find(b"\n", at + 1)
        self._unpacked.write(text)
        self.size += len(text)


class Pair:
    """Events of an archive: what stays of them, and what may be erased."""

    def __init__(self, run_id: str, chain: File, sealed: File, births: int, first_seq: int) -> None:
        """`births` lines precede those of events, of which `first_seq` is the first."""
        self.first_seq = first_seq
        self._births = births
        self._opened = ExitStack()
        self._chain = _Lines(run_id, chain, self._opened)
        self._sealed = _Lines(run_id, sealed, self._opened)
        self.last_seq = first_seq + chain.rows - births - 1

    async def fetch(self, objects: Objects, folder: str) -> None:
        """Get both files; raise `ArchiveInvalid` if one is not what was written."""
        await self._chain.fetch(objects, folder)
        await self._sealed.fetch(objects, folder)

    @property
    def size(self) -> int:
        """How large it is on disk."""
        return self._chain.size + self._sealed.size

    async def events(self, first: int, last: int, most: int) -> AsyncIterator[list[RecordedEvent]]:
        """The events of some of its seqs, up to so many at a time."""
        while first <= last:
            count = min(most, last - first + 1)
            yield await asyncio.to_thread(self._parsed, first, count)
            first += count

    def close(self) -> None:
        """Remove it from the disk."""
        self._opened.close()

    def _parsed(self, first: int, count: int) -> list[RecordedEvent]:
        at = self._births + first - self.first_seq
        lines = zip(self._chain.read(at, count), self._sealed.read(at, count), strict=True)
        try:
            found = [recorded_event(*each) for each in lines]
        except MALFORMED as error:
            raise self._chain.invalid("has lines that are not of events") from error
        if [each.seq for each in found] != list(range(first, first + count)):
            raise self._chain.invalid("has events that do not follow one another")
        return found
