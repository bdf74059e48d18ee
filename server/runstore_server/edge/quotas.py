"""Holding projects to their limits, as far as this process serves them.

What has no limit costs a look into a dict. Administration is not counted, so that whoever uses a
project up cannot keep operators from giving it more, or less; exports are, which read runs.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from google.protobuf.message import Message
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.artifact_service_pb2 import UploadArtifactRequest
from runstore.v1.config_service_pb2 import RegisterVersionRequest
from runstore_storage.contract.admin import AdminStore, Limits
from runstore_storage.contract.errors import StorageUnavailable

from runstore_server.edge.buckets import Bucket, Clock
from runstore_server.edge.errors import QuotaExceeded

CALLS, EVENTS, BYTES, STREAMS, STORED = "calls", "events", "bytes", "streams", "stored_bytes"
LOOK_SECONDS = 2.0
# How long a stream takes to end is nobody's to say.
STREAM_RETRY_SECONDS = 1.0
# Nor when something is deleted, or more is allowed.
STORED_RETRY_SECONDS = 60.0

# What stores something, but for what ends a run or goes on with one.
STORES: frozenset[type[Message]] = frozenset(
    {
        rpc.SaveRunRequest,
        rpc.ForkRunRequest,
        rpc.AppendEventRequest,
        rpc.AppendEventsRequest,
        rpc.AppendManyRequest,
        rpc.AppendEventStreamRequest,
        rpc.PutSnapshotRequest,
        rpc.PutTaskWritesRequest,
        UploadArtifactRequest,
        RegisterVersionRequest,
    }
)

_EVENTS_IN: Mapping[type[Message], Callable[[Any], int]] = {
    rpc.AppendEventRequest: lambda _: 1,
    rpc.AppendEventStreamRequest: lambda _: 1,
    rpc.AppendEventsRequest: lambda request: len(request.events),
    rpc.AppendManyRequest: lambda request: len(request.appends),
    rpc.CompleteRunRequest: lambda request: len(request.events),
}

_log = structlog.get_logger(__name__)


class Use:
    """What a project uses of its limits."""

    __slots__ = ("buckets", "limits", "stored_bytes")

    def __init__(self, limits: Limits, clock: Clock, stored_bytes: int = 0) -> None:
        self.limits = limits
        self.stored_bytes = stored_bytes
        rates = {
            CALLS: limits.calls_per_second,
            EVENTS: limits.events_per_second,
            BYTES: limits.bytes_per_second,
        }
        self.buckets = {name: Bucket(rate, clock) for name, rate in rates.items() if rate}

    @property
    def is_full(self) -> bool:
        """Whether the project may store no more."""
        return 0 < self.limits.stored_bytes <= self.stored_bytes


class Quotas:
    """One for a server process. `refused` is told the name of each limit that refused something."""

    def __init__(
        self, refused: Callable[[str], None] = lambda _: None, clock: Clock = time.monotonic
    ) -> None:
        self._refused = refused
        self._clock = clock
        self._uses: dict[str, Use] = {}
        self._streams: Counter[str] = Counter()

    async def follow(self, admin: AdminStore) -> None:
        """Keep to the limits as they are set, and to what is stored, until cancelled."""
        epoch = -1
        while True:
            try:
                seen = await admin.credential_epoch()
                if seen != epoch:
                    self.hold_to(await admin.all_limits())
                    epoch = seen
                if any(use.limits.stored_bytes for use in self._uses.values()):
                    self.hold_stored(await admin.stored_bytes())
            except StorageUnavailable:
                pass  # the limits that were read last hold on
            except Exception:  # a defect, which is not to end the looking
                _log.exception("looking for changed limits failed")
            await asyncio.sleep(LOOK_SECONDS)

    def hold_to(self, limits: Mapping[str, Limits]) -> None:
        """Hold these projects to these limits, and no other project to any."""
        before = self._uses
        self._uses = {
            project: before[project]
            if project in before and before[project].limits == each
            else Use(each, self._clock, before[project].stored_bytes if project in before else 0)
            for project, each in limits.items()
        }

    def hold_stored(self, stored: Mapping[str, int]) -> None:
        """Take it that projects store so much, and those left out nothing."""
        for project, use in self._uses.items():
            use.stored_bytes = stored.get(project, 0)

    def charge(self, project: str, message: Message | None = None, *, calls: int = 1) -> None:
        """Count a request; raise `QuotaExceeded`, and count nothing, if it is too much."""
        use = self._uses.get(project)
        if use is None:
            return
        if use.is_full and type(message) in STORES:
            raise self._refusal(STORED, STORED_RETRY_SECONDS)
        size = _size_of(message) if BYTES in use.buckets else 0
        amounts = {CALLS: calls, EVENTS: _events_in(message), BYTES: size}
        for name, bucket in use.buckets.items():
            if amounts[name] and (seconds := bucket.seconds_until_next()):
                raise self._refusal(name, seconds)
        for name, bucket in use.buckets.items():
            bucket.take(amounts[name])

    async def pace(self, project: str, message: Message) -> None:
        """Count the bytes of a message within an upload, and wait until they are made up for."""
        if bucket := self._bytes_of(project):
            bucket.take(_size_of(message))
            await asyncio.sleep(bucket.seconds_until_next())

    @contextmanager
    def streams(self) -> Iterator[Callable[[str], None]]:
        """For as long as a stream is open; what is yielded counts it for a project, once for each.

        That raises `QuotaExceeded` if it is one too many.
        """
        held: set[str] = set()

        def hold(project: str) -> None:
            if project in held:
                return
            use = self._uses.get(project)
            if use and 0 < use.limits.streams <= self._streams[project]:
                raise self._refusal(STREAMS, STREAM_RETRY_SECONDS)
            held.add(project)
            self._streams[project] += 1

        try:
            yield hold
        finally:
            for project in held:
                self._streams[project] -= 1
                if not self._streams[project]:
                    del self._streams[project]

    def _bytes_of(self, project: str) -> Bucket | None:
        use = self._uses.get(project)
        return use.buckets.get(BYTES) if use else None

    def _refusal(self, name: str, seconds: float) -> QuotaExceeded:
        self._refused(name)
        return QuotaExceeded(name, seconds)


def _events_in(message: Message | None) -> int:
    count = _EVENTS_IN.get(type(message)) if message is not None else None
    return count(message) if count else 0


def _size_of(message: Message | None) -> int:
    return 0 if message is None else message.ByteSize()
