"""Synchronous appends that share requests; `aio.gathering` is its twin."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Any, TypeAlias

from runstore.errors import RunstoreError, broken_stream, out_of_time
from runstore.streams.gathering import (
    LARGE_BYTES,
    PATIENCE_SECONDS,
    Outcome,
    Waiting,
    failures,
    is_unknown_method,
    outcomes_of,
    request_of,
    take,
)
from runstore.v1 import run_service_pb2 as rpc

Append: TypeAlias = "Waiting[Future[Outcome | Batch]]"
Send = Callable[[str, Any, float], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Appends that share a request. The thread of one of them sends it."""

    appends: Sequence[Append]


class Gathering:
    """Lets the appends to one project that are made at the same time share requests.

    An append goes at once if no request is on its way. Those that come meanwhile go together when
    it is answered, or has taken `PATIENCE_SECONDS`. `send` makes one attempt of a call and raises
    `RunstoreError`.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._waiting: deque[Append] = deque()
        self._on_its_way: Append | Batch | None = None
        """The latest request."""
        self._is_offered = True

    def append(self, request: rpc.AppendEventRequest, seconds: float) -> Any:
        """Make one attempt of an append; raise `RunstoreError`."""
        size = request.ByteSize()
        if not self._is_offered or size > LARGE_BYTES:
            return self._send("AppendEvent", request, seconds)
        append: Append = Waiting(request, size, time.monotonic() + seconds, Future())
        with self._lock:
            is_alone = self._on_its_way is None
            if is_alone:
                self._on_its_way = append
            else:
                self._waiting.append(append)
        outcome = None if is_alone else self._outcome(append)
        if isinstance(outcome, RunstoreError):
            raise outcome
        return outcome or self._go_alone(append)

    def _go_alone(self, append: Append) -> Any:
        try:
            return self._send("AppendEvent", append.request, append.seconds)
        finally:
            self._arrive(append)

    def _arrive(self, departed: Append | Batch) -> None:
        with self._lock:
            if departed is self._on_its_way:
                self._send_waiting()

    def _send_waiting(self) -> None:
        """Tell the thread of the first append that waits to send what does. The lock is held."""
        self._on_its_way = None
        while appends := take(self._waiting):
            batch = Batch(appends) if len(appends) > 1 else None
            if _settle(appends[0], batch):
                self._on_its_way = batch or appends[0]
            else:
                self._waiting.extendleft(reversed(appends[1:]))

    def _outcome(self, append: Append) -> Outcome:
        """Wait for the outcome; send the request if this thread is told to."""
        try:
            if not _is_settled(append, PATIENCE_SECONDS):
                with self._lock:
                    if append in self._waiting:
                        self._send_waiting()
                _is_settled(append, append.seconds)
        except BaseException:
            if not append.answer.cancel():
                self._interrupted(append.answer.result())
            raise
        if append.answer.cancel():
            raise out_of_time()
        settled = append.answer.result()
        return self._carried(settled) if isinstance(settled, Batch) else settled

    def _carried(self, batch: Batch) -> Outcome:
        """Send the batch of this thread's append, the first; return its outcome."""
        try:
            outcomes = self._outcomes(batch.appends)
        except BaseException:
            self._interrupted(batch)
            raise
        self._settle_all(batch, outcomes)
        return outcomes[0]

    def _interrupted(self, told: Batch | Outcome) -> None:
        """Let the others of a batch send their appends again, as this thread cannot."""
        if isinstance(told, Batch):
            error = broken_stream("the thread that sent the request was interrupted")
            self._settle_all(told, failures(error, told.appends))

    def _settle_all(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        for each, outcome in zip(batch.appends, outcomes, strict=True):
            _settle(each, outcome)
        self._arrive(batch)

    def _outcomes(self, batch: Sequence[Append]) -> Sequence[Outcome]:
        try:
            response = self._send("AppendMany", request_of(batch), batch[0].seconds)
        except RunstoreError as error:
            self._is_offered = self._is_offered and not is_unknown_method(error)
            return failures(error, batch)
        return outcomes_of(response, len(batch))


def _settle(append: Append, outcome: Batch | Outcome) -> bool:
    """False if the append has its outcome, or was given up."""
    try:
        append.answer.set_result(outcome)
    except InvalidStateError:
        return False
    return True


def _is_settled(append: Append, seconds: float) -> bool:
    """Wait for the append's outcome, at most so long and to the end of its time."""
    try:
        append.answer.result(min(seconds, append.seconds))
    except TimeoutError:
        return False
    return True
