"""Archives of runs: the bytes of an export."""

from __future__ import annotations

from collections.abc import Iterator

from runstore.calls.call import ADMIN
from runstore.errors import RunstoreError
from runstore.retry import Backoff, Patience
from runstore.streams.artifacts import PATIENCE_SECONDS
from runstore.v1 import admin_service_pb2 as rpc
from runstore.values.runs import RunRef
from runstore.wire.messages import message_of

# The server reads a run's snapshots and outputs before it sends the first bytes.
SILENCE_SECONDS = 300.0


class ArchiveDownload:
    """A `ResumableStream` that is begun again only if nothing has been received of it."""

    service, method = ADMIN, "ExportRun"
    silence_seconds = SILENCE_SECONDS

    def __init__(self, ref: RunRef, backoff: Backoff) -> None:
        self.is_over = False
        self.received = 0
        """The number of bytes."""
        self._request = message_of(rpc.ExportRunRequest, project=ref.project, run_id=ref.run_id)
        self._patience = Patience(PATIENCE_SECONDS, backoff)

    def request(self) -> rpc.ExportRunRequest:
        return self._request

    def take(self, message: rpc.ExportRunResponse) -> Iterator[bytes]:
        self.received += len(message.data)
        yield message.data

    def retry_delay(self, error: RunstoreError) -> float | None:
        return None if self.received else self._patience.delay(error)

    def ended(self) -> None:
        self.is_over = True
