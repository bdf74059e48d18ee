"""Objects: bytes under keys in a folder or a bucket.

A put is atomic: its key holds all of the bytes or nothing. Failures of the object store raise
`StorageUnavailable`; an error raised by the source of the bytes is passed on, and nothing is put.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import (
    BaseError,
    GenericError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, ObjectStore, from_url

from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.heads import RunKey

READ_BYTES = 4 << 20
UPLOAD_CHUNK_BYTES = 8 << 20
# Chunks of one upload on their way at once, beside the one being filled.
PARALLEL_CHUNKS = 2
MAX_UPLOAD_CHUNKS = 10_000
SCHEMES = ("file", "s3", "gs", "az")

# Long enough to ride out a hiccup, short enough for a caller that waits for an answer.
_RETRY_SECONDS = timedelta(seconds=10)
_MAX_RETRIES = 4

_log = logging.getLogger(__name__)


def project_folder(project: str) -> str:
    """The folder of a project's objects: a hash, since its name may be too long for a folder."""
    return sha256(project.encode()).hexdigest()[:32]


def run_folder(key: RunKey) -> str:
    """The folder of a run's payloads, likewise; no other run's are in it."""
    return f"{project_folder(key.project)}/runs/{sha256(key.run_id.encode()).hexdigest()[:32]}"


def archives_folder(project: str, birth: bytes) -> str:
    """The folder of a run's archives: its birth is no other run's."""
    return f"{project_folder(project)}/archives/{birth.hex()}"


class UnusableObjectsUrl(ValueError):
    """The URL does not name an object store, or its settings do not fit that store."""


class ObjectMissing(Exception):
    """A key that was put is not there: something else changed the bucket or folder."""


class Objects:
    """The object store that a URL names: file:///folder, s3://bucket/prefix, gs://... or az://...

    Its other settings (region, endpoint, credentials) come from the environment variables that the
    store's own tools read, such as AWS_REGION.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise UnusableObjectsUrl(f"{url!r} must begin with one of {', '.join(SCHEMES)}")
        self._url = url
        self._folder = Path(unquote(parts.path)) if parts.scheme == "file" else None
        if self._folder is None:
            _ = self._store  # a folder is only made when something is put there

    async def put(
        self, key: str, source: bytes | AsyncIterator[bytes], *, size: int | None = None
    ) -> None:
        """Store all of the bytes under the key, in bounded memory; `size` is their number if known.

        A cancelled put leaves nothing behind.
        """
        given = source if isinstance(source, bytes) else _FailableSource(source)
        with self._translated(key):
            await self._put(key, given, size or 0)
            if self._folder:
                with _usable():
                    await asyncio.to_thread(_flush, self._folder, self._folder / key)

    async def _put(self, key: str, given: bytes | _FailableSource, size: int) -> None:
        putting = asyncio.ensure_future(
            obstore.put_async(
                self._store,
                key,
                given,
                chunk_size=max(UPLOAD_CHUNK_BYTES, -(-size // MAX_UPLOAD_CHUNKS)),
                max_concurrency=PARALLEL_CHUNKS,
            )
        )
        try:
            await asyncio.shield(putting)
        except asyncio.CancelledError:
            if isinstance(given, _FailableSource):
                # A put whose source fails removes its chunks; a cancelled one would not.
                given.fail()
            await asyncio.wait([putting])
            putting.exception()  # retrieved
            raise
        finally:
            if isinstance(given, _FailableSource):
                given.close()

    async def read(self, key: str, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield a range of an object piece by piece; no request stays open between pieces."""
        while length:
            with self._translated(key):
                piece = await obstore.get_range_async(
                    self._store, key, start=offset, length=min(length, READ_BYTES)
                )
            if not piece:
                raise ObjectMissing(key)
            yield bytes(piece)
            offset, length = offset + len(piece), length - len(piece)

    async def read_all(self, key: str) -> AsyncIterator[bytes]:
        """Yield the whole of an object."""
        with self._translated(key):
            size = (await obstore.head_async(self._store, key))["size"]
        async for piece in self.read(key, 0, size):
            yield piece

    async def exists(self, key: str) -> bool:
        """Whether the key holds an object."""
        try:
            with self._translated(key):
                await obstore.head_async(self._store, key)
        except ObjectMissing:
            return False
        return True

    async def delete(self, key: str) -> None:
        """Remove an object if it exists."""
        try:
            with self._translated(key):
                await obstore.delete_async(self._store, key)
        except ObjectMissing:
            return

    async def delete_folder(self, folder: str) -> None:
        """Remove every object whose key begins with the folder's."""
        with self._translated(folder):
            async for some in obstore.list(self._store, prefix=folder):
                await obstore.delete_async(self._store, [each["path"] for each in some])

    @cached_property
    def _store(self) -> ObjectStore:
        if self._folder:
            with _usable():
                return LocalStore(self._folder, mkdir=True)
        try:
            return from_url(
                self._url,
                retry_config={"max_retries": _MAX_RETRIES, "retry_timeout": _RETRY_SECONDS},
            )
        except (BaseError, ValueError) as error:
            raise UnusableObjectsUrl(f"{self._url!r} cannot be used: {error}") from error

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise ObjectMissing(key) from error
        except (GenericError, PermissionDeniedError, UnauthenticatedError) as error:
            _log.warning("the object store failed", exc_info=error)
            raise StorageUnavailable("the object store") from error


class _FailableSource:
    """A source of bytes that can be made to fail while its next bytes are awaited."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._has_failed = asyncio.Event()
        self._failing = asyncio.create_task(self._has_failed.wait())

    def fail(self) -> None:
        """Make the read under way and every later one raise."""
        self._has_failed.set()

    def close(self) -> None:
        """Stop waiting for `fail`; call it when the source has been read."""
        self._failing.cancel()

    def __aiter__(self) -> _FailableSource:
        return self

    async def __anext__(self) -> bytes:
        coming = asyncio.ensure_future(anext(self._source))
        await asyncio.wait([coming, self._failing], return_when=asyncio.FIRST_COMPLETED)
        if not coming.done() or self._has_failed.is_set():
            coming.cancel()
            await asyncio.wait([coming])
            raise _SourceFailed
        return await coming


class _SourceFailed(Exception):
    """Ends a put whose caller was cancelled."""


@contextmanager
def _usable() -> Iterator[None]:
    """Treat a folder that cannot be made or written as an object store that does not answer."""
    try:
        yield
    except OSError as error:
        _log.warning("the folder of objects cannot be used", exc_info=error)
        raise StorageUnavailable("the object store") from error


def _flush(folder: Path, file: Path) -> None:
    """Flush a file and the folders above it, so that a power failure loses neither."""
    path = file
    while True:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if path == folder:
            return
        path = path.parent
