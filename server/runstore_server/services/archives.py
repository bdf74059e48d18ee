"""Archives: events moved to the object store and back; and a run's as a tar file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from runstore.v1 import admin_service_pb2 as rpc
from runstore_storage.contract.archives import ArchiveFile, ArchiveStore

from runstore_server.convert.archives import archive_message
from runstore_server.convert.runs import key_of
from runstore_server.edge.unread import Unread
from runstore_server.services.acts import Acts
from runstore_server.validation.requests import admit

CHUNK_BYTES = 256 << 10
_BLOCK = 512
_END = bytes(2 * _BLOCK)
# The longest size that a header has in octal digits; a longer one is a binary number.
_OCTAL_BYTES = 8**11


class Archives:
    def __init__(self, archives: ArchiveStore, acts: Acts, unread: Unread) -> None:
        self._archives = archives
        self._acts = acts
        self._unread = unread

    async def ArchiveRun(
        self, request: rpc.ArchiveRunRequest, context: Any
    ) -> rpc.ArchiveRunResponse:
        await admit(request)
        is_expected = request.HasField("expected_last_seq")
        async with self._acts.recorded(request, f"runs/{request.run_id}", context) as act:
            archive, is_repeat = await self._archives.archive_run(
                key_of(request),
                expected_last_seq=request.expected_last_seq if is_expected else None,
                act=act,
            )
        return rpc.ArchiveRunResponse(archive=archive_message(archive), deduplicated=is_repeat)

    async def RestoreRun(
        self, request: rpc.RestoreRunRequest, context: Any
    ) -> rpc.RestoreRunResponse:
        await admit(request)
        async with self._acts.recorded(request, f"runs/{request.run_id}", context) as act:
            archive, is_repeat = await self._archives.restore_run(key_of(request), act)
        return rpc.RestoreRunResponse(archive=archive_message(archive), deduplicated=is_repeat)

    async def ExportRun(
        self, request: rpc.ExportRunRequest, context: Any
    ) -> AsyncIterator[rpc.ExportRunResponse]:
        await admit(request)
        async with (
            self._unread.room(context.peer()) as room,
            aclosing(self._archives.export_run(key_of(request))) as files,
            aclosing(_cut(_tar(files))) as chunks,
        ):
            async for chunk in chunks:
                await room.take(len(chunk))
                yield rpc.ExportRunResponse(data=chunk)
                room.sent()


async def _tar(files: AsyncIterator[ArchiveFile]) -> AsyncGenerator[bytes]:
    """The files as a tar file, in which everything but their names and contents is fixed."""
    async for file in files:
        yield tar_header(file.name, file.size)
        left = file.size
        async for chunk in file.chunks:
            left -= len(chunk)
            yield chunk
        if left:
            raise ValueError(f"{file.name} is not as long as was said: {left} bytes are left")
        yield bytes(-file.size % _BLOCK)
    yield _END


def tar_header(name: str, size: int) -> bytes:
    """A header in GNU's format: a file of nobody's, which all may read, of no time.

    Python's own depends on its version.
    """
    length = b"%011o\0" % size if size < _OCTAL_BYTES else b"\x80" + size.to_bytes(11, "big")
    owned = b"0000644\0" + b"0000000\0" * 2
    before = name.encode().ljust(100, b"\0") + owned + length + b"00000000000\0"
    after = b"0" + bytes(100) + b"ustar  \0" + bytes(247)
    return before + b"%06o\0 " % sum(before + b" " * 8 + after) + after


async def _cut(pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Pieces of any length as chunks of one length, but for the last."""
    waiting = bytearray()
    async with aclosing(pieces):
        async for piece in pieces:
            waiting += piece
            while len(waiting) >= CHUNK_BYTES:
                yield bytes(waiting[:CHUNK_BYTES])
                del waiting[:CHUNK_BYTES]
    yield bytes(waiting)
