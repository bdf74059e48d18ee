"""Appends in flight over AppendEventStream: what to send, what the answers mean.

No I/O happens here; the appenders of the async and the sync client drive it.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import Generic, TypeVar

from runstore.calls import runs as calls
from runstore.errors import ProtocolError, RunstoreError, ServerDraining, from_status
from runstore.fields import RunRef
from runstore.retry import Backoff, Patience
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.runs import Appended, NewEvent
from runstore.wire import runs as wire

DEFAULT_WINDOW = 256

F = TypeVar("F")


def append_request(
    run: RunRef, event: NewEvent, expected_seq: int | None
) -> rpc.AppendEventStreamRequest:
    """One append, with an event id that makes it safe to send again."""
    request = calls.append_one(run, event, expected_seq).request
    assert isinstance(request, rpc.AppendEventRequest)
    return rpc.AppendEventStreamRequest(append=request)


class Appending(Generic[F]):
    """The appends not answered yet, in the order they were made. `F` is a driver's future."""

    def __init__(self, patience_seconds: float, backoff: Backoff) -> None:
        self._unanswered: deque[tuple[rpc.AppendEventStreamRequest, F]] = deque()
        self._numbers = count(1)
        self._patience = Patience(patience_seconds, backoff)

    @property
    def is_idle(self) -> bool:
        return not self._unanswered

    def add(self, request: rpc.AppendEventStreamRequest, future: F) -> None:
        """Note an append that is about to be sent."""
        request.correlation_id = str(next(self._numbers))
        self._unanswered.append((request, future))

    def requests(self) -> list[rpc.AppendEventStreamRequest]:
        """What a new stream begins with: everything not answered."""
        return [request for request, _ in self._unanswered]

    def take(self, response: rpc.AppendEventStreamResponse) -> tuple[F, Appended | RunstoreError]:
        """The oldest append's future, and what became of it.

        Raise `ServerDraining` where the server refused it because it goes down: it refuses all
        that follow too, so that sending them again elsewhere keeps their order.
        """
        self._check(response)
        if response.HasField("appended"):
            result: Appended | RunstoreError = wire.appended_value(response.appended)
        else:
            result = from_status(response.error)
        if isinstance(result, ServerDraining):
            raise result
        self._patience.renew()
        _, future = self._unanswered.popleft()
        return future, result

    def ended(self, *, is_closing: bool) -> None:
        """The server ended the stream with OK: right when all is said and answered."""
        if not is_closing or self._unanswered:
            raise ProtocolError("the server ended the append stream before its last answer")

    def rested(self) -> None:
        """Nobody waited for a while: failures of then do not count against what comes."""
        self._patience.renew()

    def retry_delay(self, error: RunstoreError) -> float | None:
        """How long to wait before a new stream is opened; None when the appends are given up."""
        return self._patience.delay(error)

    def give_up(self) -> list[F]:
        """The futures that will have no answer."""
        futures = [future for _, future in self._unanswered]
        self._unanswered.clear()
        return futures

    def _check(self, response: rpc.AppendEventStreamResponse) -> None:
        if self.is_idle:
            raise ProtocolError("the server answered an append that was not made")
        expected, answered = self._unanswered[0][0].correlation_id, response.correlation_id
        if answered not in {expected, ""}:  # empty where the server could not read the request
            raise ProtocolError(f"expected the answer of append {expected}, got {answered}")
