"""Archives: the whole history of a run as files that are verified without a server.

docs/export.md has the format. An archive of a run that has not changed is the same, byte for byte,
however often it is made by one release.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from runstore_storage.contract.heads import RunKey


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A file of an archive, whose chunks have to be read before the next file is asked for."""

    name: str
    size: int
    chunks: AsyncIterator[bytes]


class ArchiveStore(Protocol):
    """Archives of runs."""

    def export_run(self, key: RunKey) -> AsyncGenerator[ArchiveFile]:
        """Yield the files of a run's archive, of a fork with all of the history that it has.

        The manifest, which names all others, is the last. What is in them is as of one moment,
        shortly after the first is asked for. No connection is held while a chunk is not asked for.
        A snapshot of that moment that is deleted before its parts were read raises
        `SnapshotNotFound`; an export beyond those that the process makes at a time, `Overloaded`.
        """
