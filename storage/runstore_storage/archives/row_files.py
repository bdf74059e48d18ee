"""Files of rows: JSON Lines, compressed while they are written, on disk once they are large."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from tempfile import SpooledTemporaryFile
from typing import Any

from runstore_storage.archives.lines import line

CHUNK_BYTES = 256 << 10
# What a file has in memory; more of it goes to the folder of temporary files.
_MEMORY_BYTES = 1 << 20
# Level 6, with a gzip header, whose time is 0.
_LEVEL, _GZIP = 6, 31


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as the manifest names it."""

    name: str
    sha256: str
    size: int
    rows: int | None = None

    @property
    def members(self) -> Mapping[str, object]:
        """The entry as JSON; `rows` is what is counted in files of rows."""
        return {"name": self.name, "sha256": self.sha256, "bytes": self.size, "rows": self.rows}


class RowFile:
    """A file that is written from beginning to end, and then read once; close it."""

    def __init__(self, name: str) -> None:
        self.rows = 0
        self.text_bytes = 0
        """How long its lines are, before they are compressed."""
        self._name = name
        self._size = 0
        self._digest = sha256()
        self._compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._file = SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add a line for each."""
        for row in rows:
            text = line(row)
            self.rows += 1
            self.text_bytes += len(text)
            self._write(self._compressor.compress(text))

    def finish(self) -> Entry:
        """Write what is left; after that, nothing is added."""
        self._write(self._compressor.flush())
        self._file.seek(0)
        return Entry(self._name, self._digest.hexdigest(), self._size, self.rows)

    def chunks(self) -> Iterator[bytes]:
        """The finished file."""
        while chunk := self._file.read(CHUNK_BYTES):
            yield chunk

    def close(self) -> None:
        """Let go of it."""
        self._file.close()

    def _write(self, data: bytes) -> None:
        if data:
            self._size += len(data)
            self._digest.update(data)
            self._file.write(data)


def compressed(content: bytes) -> bytes:
    """One piece of content as a file of its own."""
    return zlib.compress(content, _LEVEL, _GZIP)
