"""The asynchronous appender; `sync.appender` is its twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, Unpack

import grpc

from runstore.aio.connection import AsyncConnection
from runstore.calls.call import RUNS
from runstore.calls.events import append_request
from runstore.errors import MessageTooLarge, RunstoreError, broken_stream, from_requests
from runstore.streams.appends import PendingAppends, StreamLimit, window_of
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.events import Appended, EventFields, NewEvent, event_of
from runstore.values.payloads import Value
from runstore.values.runs import Writer

Outgoing = asyncio.Queue[rpc.AppendEventStreamRequest | None]


class Appender:
    """Appends to any runs, pipelined over a stream. Made by `AsyncClient.appender`.

    Leaving the `async with` waits for all responses; leaving it by an exception cancels them. When
    the stream breaks, appends without a response are sent again in order, with the same event ids.
    When that has failed for the client's timeout, pending appends, later ones and the exit raise
    the error.
    """

    def __init__(self, connection: AsyncConnection, window: int) -> None:
        self._connection = connection
        self._room = asyncio.Semaphore(window_of(window))
        self._pending: PendingAppends[asyncio.Future[Appended]] = PendingAppends(
            connection.timeout, connection.backoff
        )
        self._outgoing: Outgoing = asyncio.Queue()
        self._is_wanted = asyncio.Event()
        self._is_closing = False
        self._failure: RunstoreError | None = None
        self._worker: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "open" if self._worker is not None and not self._is_closing else "not open"
        return f"<Appender to {self._connection.target}, {state}>"

    async def __aenter__(self) -> Self:
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._worker is not None
        self._is_closing = True
        self._outgoing.put_nowait(None)
        self._is_wanted.set()
        if error is not None:
            self._worker.cancel()
        try:
            await asyncio.wait([self._worker])
        finally:
            self._worker.cancel()
            self._stop()  # a worker that is cancelled before it begins does not
        if error is None:
            self._worker.result()
            if self._failure is not None:
                raise self._failure

    async def append(
        self,
        run: Writer,
        event: str | NewEvent,
        payload: Value = None,
        *,
        expected_seq: int | None = None,
        **fields: Unpack[EventFields],
    ) -> asyncio.Future[Appended]:
        """Send one event, once the window has room, and return the future of its result.

        Events of one run are recorded in the order of the calls. A refusal is raised by the
        append's own future and stops no other append; to stop them too, send `expected_seq`.
        """
        append = append_request(run.ref, event_of(event, payload, fields), expected_seq)
        await self._room.acquire()
        if self._failure is not None or self._is_closing or self._worker is None:
            self._room.release()
            raise self._failure or RuntimeError("the appender is not open")
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        request = self._pending.add(append, future)
        self._outgoing.put_nowait(request)
        self._is_wanted.set()
        return future

    async def _work(self) -> None:
        try:
            while await self._has_work():
                try:
                    await self._converse()
                except RunstoreError as error:
                    delay = self._pending.retry_delay(error)
                    if not await self._connection.may_retry(error) or delay is None:
                        self._failure = self._connection.final(error)
                        return
                    await asyncio.sleep(delay)
        finally:
            self._stop()

    def _stop(self) -> None:
        self._is_closing = True
        for future in self._pending.give_up():
            self._settle(future, self._failure)

    async def _has_work(self) -> bool:
        """Wait for an append; False if there will be none."""
        if self._pending.is_idle and not self._is_closing:
            self._is_wanted.clear()
            await self._is_wanted.wait()
            self._pending.rested()
        return not self._pending.is_idle

    async def _converse(self) -> None:
        """Send and receive over one stream until it is full or the appender closes."""
        self._outgoing = asyncio.Queue()
        for request in self._pending.requests():
            self._outgoing.put_nowait(request)
        if self._is_closing:
            self._outgoing.put_nowait(None)
        limit = self._pending.limit()
        way = self._connection.begin()
        call = way.open(RUNS, "AppendEventStream", _within(limit, self._outgoing))
        try:
            async for response in call:
                self._connection.reached()
                self._settle(*self._pending.take(response))
        except grpc.RpcError as error:
            self._refuse_too_large(limit, self._connection.judged(from_requests(error), way))
            return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Asynchronous gRPC does this to a stream that ends while a request is being written
            # (grpc/grpc#36066).
            raise broken_stream("the call was cancelled by gRPC") from None
        finally:
            call.cancel()
            self._outgoing.put_nowait(None)  # gRPC waits on for requests of a stream that broke
            await self._connection.end(way)
        self._pending.ended(limit, is_closing=self._is_closing)

    def _refuse_too_large(self, limit: StreamLimit, error: RunstoreError) -> None:
        """Refuse the append that was too large for its stream; raise any other error."""
        if not isinstance(error, MessageTooLarge):
            raise error from None
        if future := self._pending.too_large(limit, error):
            self._settle(future, error)

    def _settle(
        self, future: asyncio.Future[Appended], result: Appended | RunstoreError | None
    ) -> None:
        self._room.release()
        if future.done():
            return
        if isinstance(result, Appended):
            future.set_result(result)
        elif result is None:
            future.cancel()
        else:
            future.set_exception(result)


async def _within(
    limit: StreamLimit, outgoing: Outgoing
) -> AsyncIterator[rpc.AppendEventStreamRequest]:
    while (request := await outgoing.get()) and limit.admits(request):
        yield request
