"""How this process's last writes left their runs, as far as the next write may ask.

Each writer of a run gives its head another version. So what is remembered is true for as long as
the head has the version, and a write that was decided on it is stored only then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from runstore_storage.contract.scope import ScopedKey
from runstore_storage.run_write import RunWrite
from runstore_storage.sql.blobs import BlobRef
from runstore_storage.sql.heads import Head
from runstore_storage.sql.inserts import Version
from runstore_storage.sql.known import Asked, Known

MAX_RUNS = 10_000
MAX_PARTS = 100_000
# Of the parts and snapshots of one run the newest stay.
MAX_PARTS_OF_RUN = 1_000
MAX_SNAPSHOTS_OF_RUN = 20


@dataclass(frozen=True, slots=True)
class _Run:
    head: Head
    version: Version
    read_at: float
    parts: Mapping[bytes, BlobRef]
    snapshots: Sequence[tuple[str, str]]

    @property
    def now(self) -> datetime:
        """The database's time, as this process's clock tells it."""
        return self.version.at + timedelta(seconds=time.monotonic() - self.read_at)


class RememberedRuns:
    """The runs that were written to last."""

    def __init__(self) -> None:
        self._runs: dict[ScopedKey, _Run] = {}
        self._parts = 0

    def take(self, run: ScopedKey, asked: Asked) -> tuple[RunWrite, Known] | None:
        """The run, forgotten until it is added again, as if it knew nothing of what is new.

        None if it is not remembered, or not enough of it.
        """
        left = self._forget(run)
        if left is None or not left.parts.keys() >= set(asked.hashes) - set(asked.sent):
            return None
        known = Known(
            answer=None,
            knows_events=False,
            parts=left.parts,
            snapshot_ids={id_ for namespace, id_ in left.snapshots if namespace == asked.namespace},
            writes=[None] * len(asked.task_writes),
        )
        write = RunWrite(run, left.head, left.now, left.version.number)
        write.snapshots += left.snapshots
        return write, known

    def add(self, write: RunWrite, known: Known) -> None:
        """Remember how a committed write left its run, with what was known of it before."""
        # What a fork knows may be its ancestors', which takes a look-up; as do archived events.
        head = write.head
        if write.stored is None or head.is_completed or head.lineage or head.archived_through:
            return
        parts = {**known.parts, **write.parts}
        for oldest in list(parts)[: max(len(parts) - MAX_PARTS_OF_RUN, 0)]:
            del parts[oldest]
        run = ScopedKey(write.scope, write.key)
        self._forget(run)
        snapshots = write.snapshots[-MAX_SNAPSHOTS_OF_RUN:]
        self._runs[run] = _Run(write.head, write.stored, time.monotonic(), parts, snapshots)
        self._parts += len(parts)
        while len(self._runs) > MAX_RUNS or self._parts > MAX_PARTS:
            self._forget(next(iter(self._runs)))

    def _forget(self, run: ScopedKey) -> _Run | None:
        left = self._runs.pop(run, None)
        if left:
            self._parts -= len(left.parts)
        return left
