"""The synchronous appender; `aio.appender` is its twin."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from itertools import takewhile
from types import TracebackType
from typing import Protocol, Self, Unpack

import grpc

from runstore.calls.call import RUNS
from runstore.calls.events import append_request
from runstore.errors import MessageTooLarge, RunstoreError, from_requests
from runstore.streams.appends import PendingAppends, StreamLimit, window_of
from runstore.sync.connection import Connection
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.events import Appended, EventFields, NewEvent, event_of
from runstore.values.payloads import Value
from runstore.values.runs import Writer

Outgoing = queue.SimpleQueue[rpc.AppendEventStreamRequest | None]


class _Cancellable(Protocol):
    def cancel(self) -> object: ...


class Appender:
    """Appends to any runs, pipelined over a stream. Made by `Client.appender`; threads share it.

    Leaving the `with` waits for all responses; leaving it by an exception cancels them. When the
    stream breaks, appends without a response are sent again in order, with the same event ids. When
    that has failed for the client's timeout, pending appends, later ones and the exit raise the
    error.
    """

    def __init__(self, connection: Connection, window: int) -> None:
        self._connection = connection
        self._room = threading.Semaphore(window_of(window))
        self._pending: PendingAppends[Future[Appended]] = PendingAppends(
            connection.timeout, connection.backoff
        )
        self._outgoing: Outgoing = queue.SimpleQueue()
        self._changed = threading.Condition()  # guards everything above and below
        self._call: _Cancellable | None = None
        self._is_open = False
        self._is_closing = False
        self._is_aborted = False
        self._failure: RunstoreError | None = None
        self._worker = threading.Thread(target=self._work, name="runstore-appender", daemon=True)

    def __repr__(self) -> str:
        state = "open" if self._is_open else "not open"
        return f"<Appender to {self._connection.target}, {state}>"

    def __enter__(self) -> Self:
        self._is_open = True
        self._worker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._is_open, self._is_closing = False, True
            self._outgoing.put(None)
            self._changed.notify_all()
        if error is not None:
            self._abort()
        try:
            self._worker.join()
        except BaseException:
            self._abort()
            raise
        if error is None and self._failure is not None:
            raise self._failure

    def append(
        self,
        run: Writer,
        event: str | NewEvent,
        payload: Value = None,
        *,
        expected_seq: int | None = None,
        **fields: Unpack[EventFields],
    ) -> Future[Appended]:
        """Send one event, once the window has room, and return the future of its result.

        Events of one run are recorded in the order of the calls. A refusal is raised by the
        append's own future and stops no other append; to stop them too, send `expected_seq`.
        """
        append = append_request(run.ref, event_of(event, payload, fields), expected_seq)
        future: Future[Appended] = Future()
        future.set_running_or_notify_cancel()
        self._room.acquire()
        with self._changed:
            if self._failure is not None or not self._is_open:
                self._room.release()
                raise self._failure or RuntimeError("the appender is not open")
            request = self._pending.add(append, future)
            self._outgoing.put(request)
            self._changed.notify_all()
        return future

    def _abort(self) -> None:
        with self._changed:
            self._is_aborted = True
            self._changed.notify_all()
            if self._call is not None:
                self._call.cancel()

    def _work(self) -> None:
        failure: RunstoreError | None = None
        try:
            while self._has_work():
                try:
                    self._converse()
                except RunstoreError as error:
                    may_retry = self._connection.may_retry(error)
                    with self._changed:
                        delay = self._pending.retry_delay(error)
                        if not may_retry or delay is None:
                            failure = self._connection.final(error)
                            return
                        self._changed.wait_for(lambda: self._is_aborted, delay)
        finally:
            with self._changed:
                self._failure, self._is_open = failure, False
                futures = self._pending.give_up()
            for future in futures:
                self._settle(future, failure)

    def _has_work(self) -> bool:
        """Wait for an append; False if there will be none."""
        with self._changed:
            if self._pending.is_idle and not self._is_closing:
                self._changed.wait_for(lambda: not self._pending.is_idle or self._is_closing)
                self._pending.rested()
            return not self._pending.is_idle and not self._is_aborted

    def _converse(self) -> None:
        """Send and receive over one stream until it is full or the appender closes."""
        outgoing: Outgoing = queue.SimpleQueue()
        with self._changed:
            limit = self._pending.limit()
            for request in self._pending.requests():
                outgoing.put(request)
            if self._is_closing:
                outgoing.put(None)
            self._outgoing = outgoing
            requests = takewhile(limit.admits, iter(outgoing.get, None))
            way = self._connection.begin()
            call = way.open(RUNS, "AppendEventStream", requests)
            self._call = call
            if self._is_aborted:
                call.cancel()
        try:
            for response in call:
                self._connection.reached()
                with self._changed:
                    future, result = self._pending.take(response)
                self._settle(future, result)
        except grpc.RpcError as error:
            self._refuse_too_large(limit, self._connection.judged(from_requests(error), way))
            return
        finally:
            call.cancel()
            outgoing.put(None)  # frees gRPC's thread that waits for the next request
            self._connection.end(way)
        with self._changed:
            self._pending.ended(limit, is_closing=self._is_closing)

    def _refuse_too_large(self, limit: StreamLimit, error: RunstoreError) -> None:
        """Refuse the append that was too large for its stream; raise any other error."""
        if not isinstance(error, MessageTooLarge):
            raise error from None
        with self._changed:
            future = self._pending.too_large(limit, error)
        if future:
            self._settle(future, error)

    def _settle(self, future: Future[Appended], result: Appended | RunstoreError | None) -> None:
        self._room.release()
        if isinstance(result, Appended):
            future.set_result(result)
        else:
            future.set_exception(result or RuntimeError("the appender was stopped"))
