"""Objects: bytes under keys in a folder or a bucket.

A put is atomic: its key shows all of the bytes or nothing. Failures of the store itself raise
`StorageUnavailable`; what a source of bytes raises passes through, and then nothing was put.
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
from obstore.exceptions import BaseError, GenericError
from obstore.store import LocalStore, ObjectStore, from_url

from runstore_storage.contract.errors import StorageUnavailable

READ_BYTES = 4 << 20
UPLOAD_CHUNK_BYTES = 8 << 20
# Parts of one upload under way at once, beside the one that is filled.
PARALLEL_PARTS = 2
MAX_UPLOAD_CHUNKS = 10_000
SCHEMES = ("file", "s3", "gs", "az")

# Long enough for a hiccup, short enough for a caller that waits for a clear answer.
_RETRY_SECONDS = timedelta(seconds=10)
_MAX_RETRIES = 4

_log = logging.getLogger(__name__)


def project_folder(project: str) -> str:
    """The folder of a project's objects; its name fits where the project's would be too long."""
    return sha256(project.encode()).hexdigest()[:32]


class UnusableObjectsUrl(ValueError):
    """The URL names no object store, or one that its settings do not fit."""


class ObjectMissing(Exception):
    """A key that was put is not there: the bucket or folder was changed by somebody else."""


class Objects:
    """The store that a URL names: file:///folder, s3://bucket/prefix, gs://... or az://...

    What such a store needs beside (region, endpoint, credentials) it takes from the variables its
    own tools read, such as AWS_REGION.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise UnusableObjectsUrl(f"{url!r} must begin with one of {', '.join(SCHEMES)}")
        self._url = url
        self._folder = Path(unquote(parts.path)) if parts.scheme == "file" else None
        if self._folder is None:
            _ = self._store  # a folder is made when something is put there

    async def put(
        self, key: str, source: bytes | AsyncIterator[bytes], *, size: int | None = None
    ) -> None:
        """Store all of the bytes under the key, in bounded memory; `size` is theirs if known.

        A cancelled put leaves nothing behind.
        """
        given = source if isinstance(source, bytes) else _Cuttable(source)
        with self._translated(key):
            putting = asyncio.ensure_future(
                obstore.put_async(
                    self._store,
                    key,
                    given,
                    chunk_size=max(UPLOAD_CHUNK_BYTES, -(-(size or 0) // MAX_UPLOAD_CHUNKS)),
                    max_concurrency=PARALLEL_PARTS,
                )
            )
            try:
                await asyncio.shield(putting)
            except asyncio.CancelledError:
                if isinstance(given, _Cuttable):
                    # Stored parts are given back where the source fails, not where the put is cut.
                    given.cut()
                await asyncio.wait([putting])
                putting.exception()  # seen
                raise
            finally:
                if isinstance(given, _Cuttable):
                    given.close()
            if self._folder:
                with _usable():
                    await asyncio.to_thread(_flush, self._folder, self._folder / key)

    async def read(self, key: str, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield a range of an object piece by piece. No request stays open in between."""
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
        """Whether something was put under the key."""
        try:
            with self._translated(key):
                await obstore.head_async(self._store, key)
        except ObjectMissing:
            return False
        return True

    async def delete(self, key: str) -> None:
        """Remove an object, where it is there."""
        try:
            with self._translated(key):
                await obstore.delete_async(self._store, key)
        except ObjectMissing:
            return

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
        except GenericError as error:
            _log.warning("the object store failed", exc_info=error)
            raise StorageUnavailable("the object store") from error


class _Cuttable:
    """A source of bytes that can be made to fail while its next ones are waited for."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._is_cut = asyncio.Event()
        self._cutting = asyncio.create_task(self._is_cut.wait())

    def cut(self) -> None:
        """Fail from now on."""
        self._is_cut.set()

    def close(self) -> None:
        """Give up what only a source in use needs."""
        self._cutting.cancel()

    def __aiter__(self) -> _Cuttable:
        return self

    async def __anext__(self) -> bytes:
        coming = asyncio.ensure_future(anext(self._source))
        await asyncio.wait([coming, self._cutting], return_when=asyncio.FIRST_COMPLETED)
        if not coming.done() or self._is_cut.is_set():
            coming.cancel()
            await asyncio.wait([coming])
            raise _Cut
        return await coming


class _Cut(Exception):
    """Ends a put whose caller is gone."""


@contextmanager
def _usable() -> Iterator[None]:
    """A folder that cannot be made or written is a store that does not answer."""
    try:
        yield
    except OSError as error:
        _log.warning("the folder of objects cannot be used", exc_info=error)
        raise StorageUnavailable("the object store") from error


def _flush(folder: Path, file: Path) -> None:
    """Make a file and its names outlive a power failure."""
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
