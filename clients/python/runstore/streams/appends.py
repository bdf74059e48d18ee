"""Pipelined appends over AppendEventStream: what to send, and what the responses mean."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import Generic, TypeVar

from runstore.arguments import InvalidArgument, integer
from runstore.errors import (
    MessageTooLarge,
    ProtocolError,
    RunstoreError,
    ServerDraining,
    broken_stream,
    from_status,
)
from runstore.retry import Backoff, Patience
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.events import Appended
from runstore.wire.events import appended_value

DEFAULT_WINDOW = 256

# A stream is one HTTP request, and proxies limit the body of one: nginx to 1 MiB by default.
MAX_STREAM_BYTES = 768 * 1024
_FRAME_BYTES = 5  # what gRPC writes before each message

F = TypeVar("F")


class StreamLimit:
    """How much one stream may still carry. One append always fits, however large."""

    def __init__(self, most_bytes: int = MAX_STREAM_BYTES) -> None:
        self._most_bytes = most_bytes
        self.bytes = 0
        self.carried = 0
        self.left_out: rpc.AppendEventStreamRequest | None = None

    def admits(self, request: rpc.AppendEventStreamRequest) -> bool:
        """True if the request may be sent; otherwise the stream must end before it."""
        size = request.ByteSize() + _FRAME_BYTES
        if self.carried and self.bytes + size > self._most_bytes:
            self.left_out = request
            return False
        self.bytes += size
        self.carried += 1
        return True


def window_of(window: int) -> int:
    """The window; raise `InvalidArgument` for one that has no room for an append."""
    if integer(window, "window") < 1:
        raise InvalidArgument("window", f"must be at least 1, is {window}")
    return window


class PendingAppends(Generic[F]):
    """The appends without a response, in the order they were made. `F` is a driver's future."""

    def __init__(self, patience_seconds: float, backoff: Backoff) -> None:
        self._unanswered: deque[tuple[rpc.AppendEventStreamRequest, F]] = deque()
        self._numbers = count(1)
        self._most_bytes = MAX_STREAM_BYTES
        self._patience = Patience(patience_seconds, backoff)

    @property
    def is_idle(self) -> bool:
        return not self._unanswered

    def add(self, append: rpc.AppendEventRequest, future: F) -> rpc.AppendEventStreamRequest:
        """Note an append that is about to be sent, and return the request to send."""
        number = str(next(self._numbers))
        request = rpc.AppendEventStreamRequest(append=append, correlation_id=number)
        self._unanswered.append((request, future))
        return request

    def requests(self) -> list[rpc.AppendEventStreamRequest]:
        """What a new stream sends first: every append without a response."""
        return [request for request, _ in self._unanswered]

    def limit(self) -> StreamLimit:
        """What the next stream may carry."""
        return StreamLimit(self._most_bytes)

    def take(self, response: rpc.AppendEventStreamResponse) -> tuple[F, Appended | RunstoreError]:
        """The future of the oldest append, and its result.

        Raise `ServerDraining` if the server refused it because it is shutting down. It refuses all
        that follow too, so sending them again to another server keeps their order.
        """
        self._check(response)
        if response.HasField("appended"):
            result: Appended | RunstoreError = appended_value(response.appended)
        else:
            result = from_status(response.error)
        if isinstance(result, ServerDraining):
            raise result
        self._patience.renew()
        _, future = self._unanswered.popleft()
        return future, result

    def too_large(self, limit: StreamLimit, error: MessageTooLarge) -> F | None:
        """The future of the append that no stream can carry; None if the stream carried several.

        Then later streams carry at most half as much, in the end one append each.
        """
        if limit.carried > 1:
            self._most_bytes = limit.bytes // 2
            return None
        if not limit.carried or self.is_idle:
            raise broken_stream(str(error))
        return self._unanswered.popleft()[1]

    def ended(self, limit: StreamLimit, *, is_closing: bool) -> None:
        """The server ended the stream with OK; raise `ProtocolError` if it may not end yet.

        It may once everything that was sent is answered, and either nothing will follow or the
        next append goes on another stream.
        """
        may_end = self._unanswered[0][0] is limit.left_out if self._unanswered else is_closing
        if not may_end:
            raise ProtocolError("the server ended the append stream before its last response")

    def rested(self) -> None:
        """No append was pending for a while: earlier failures no longer count."""
        self._patience.renew()

    def retry_delay(self, error: RunstoreError) -> float | None:
        """How long to wait before a new stream is opened; None to give up on the appends."""
        return self._patience.delay(error)

    def give_up(self) -> list[F]:
        """The futures that will get no response."""
        futures = [future for _, future in self._unanswered]
        self._unanswered.clear()
        return futures

    def _check(self, response: rpc.AppendEventStreamResponse) -> None:
        if self.is_idle:
            raise ProtocolError("the server answered an append that was not made")
        expected, answered = self._unanswered[0][0].correlation_id, response.correlation_id
        if answered not in {expected, ""}:  # empty where the server could not read the request
            raise ProtocolError(f"expected the response to append {expected}, got {answered}")
