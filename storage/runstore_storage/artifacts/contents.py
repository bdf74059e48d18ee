"""Bytes on their way into the object store: hashed and measured as they pass through."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256

from runstore_storage.contract.artifacts import Announced
from runstore_storage.contract.errors import ContentMismatch
from runstore_storage.database.threads import run_in_thread_if_large
from runstore_storage.ids import new_id
from runstore_storage.payloads.objects import UPLOAD_CHUNK_BYTES, Objects, project_folder


@dataclass(frozen=True, slots=True)
class StoredContent:
    """Content that is in the object store."""

    sha256: bytes
    size: int
    location: str


class Measured:
    """A source that measures its bytes, and fails if they are not what was announced."""

    def __init__(self, chunks: AsyncIterator[bytes], announced: Announced) -> None:
        self.size = 0
        self._chunks = chunks
        self._announced = announced
        self._digest = sha256()

    @property
    def sha256(self) -> bytes:
        return self._digest.digest()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._passed()

    async def head(self, limit: int) -> tuple[list[bytes], bool]:
        """The first chunks, until they exceed `limit` bytes; True when they are all there is."""
        taken: list[bytes] = []
        async with aclosing(self._passed()) as passed:
            async for chunk in passed:
                taken.append(chunk)
                if self.size > limit:
                    return taken, False
        return taken, True

    async def _passed(self) -> AsyncGenerator[bytes]:
        async for chunk in self._chunks:
            self.size += len(chunk)
            if self._announced.size is not None and self.size > self._announced.size:
                raise ContentMismatch("size", self._announced.size, f"{self.size} or more")
            await run_in_thread_if_large(len(chunk), self._digest.update, chunk)
            yield chunk
        self._check()

    def _check(self) -> None:
        announced = self._announced
        if announced.size not in {None, self.size}:
            raise ContentMismatch("size", announced.size, self.size)
        if announced.sha256 not in {b"", self.sha256}:
            raise ContentMismatch("sha256", announced.sha256.hex(), self.sha256.hex())


async def put_content(
    objects: Objects,
    project: str,
    announced: Announced,
    chunks: AsyncIterator[bytes],
    *,
    location: str = "",
) -> StoredContent:
    """Put all of the chunks: at `location` if it is given, whose bytes are lost, else at a new key.

    A key is named by one row, once: whoever removes a content need not ask who puts it meanwhile.
    """
    measured = Measured(chunks, announced)
    first, is_all = await measured.head(UPLOAD_CHUNK_BYTES)
    if is_all:
        key = location or new_key(project, measured.sha256)
        await objects.put(key, b"".join(first))
    else:
        key = location or new_key(project, announced.sha256)
        await objects.put(key, _joined(first, measured), size=announced.size)
    return StoredContent(measured.sha256, measured.size, key)


def new_key(project: str, sha256_: bytes) -> str:
    """A new key for content, with its SHA-256 if that is known."""
    name = f"sha256/{sha256_.hex()}-{new_id()}" if sha256_ else f"uploads/{new_id()}"
    return f"{project_folder(project)}/{name}"


async def _joined(first: list[bytes], rest: Measured) -> AsyncIterator[bytes]:
    while first:
        yield first.pop(0)
    async for chunk in rest:
        yield chunk
