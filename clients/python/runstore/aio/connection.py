"""The connection of an asynchronous client: how calls are sent, retried and followed."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, NoReturn, SupportsIndex, TypeVar

import grpc
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from runstore.aio import transport
from runstore.aio.gathering import AsyncGathering
from runstore.arguments import text
from runstore.calls.call import RUNS, Call, Page
from runstore.channels import (
    HEALTH_METHOD,
    SERVING,
    HomeProcess,
    Metadata,
    Stubs,
    checked_metadata,
    checked_timeout,
    refuse_to_pickle,
    target_of,
)
from runstore.errors import RunstoreError, closed, from_requests, from_rpc, from_stream
from runstore.retry import Attempts, Backoff, Patience
from runstore.streams.resumable import ResumableStream
from runstore.targets import Reach, address_of
from runstore.tls import Tls, credentials_of

T = TypeVar("T")
Attempt = Callable[[Any, float], Awaitable[Any]]


class AsyncConnection:
    """Sends calls to one target; connects at the first call."""

    def __init__(
        self,
        target: str | None,
        *,
        timeout: float,
        tls: Tls | None,
        credentials: grpc.ChannelCredentials | None,
        metadata: Metadata,
        gather: bool = True,
    ) -> None:
        self.timeout = checked_timeout(timeout)
        self.backoff = Backoff()
        self._is_gathering = gather
        self._gatherings: dict[str, AsyncGathering] = defaultdict(
            lambda: AsyncGathering(self._append_attempt)
        )
        """By project."""
        self._home = HomeProcess()
        self._is_closed = False
        self._metadata = checked_metadata(metadata)
        self._reach = Reach(target_of(target))
        self._channel = transport.open_channel(
            address_of(self.target), credentials_of(self.target, tls, credentials)
        )
        self._stubs = Stubs(self._channel)
        self._check_health = self._channel.unary_unary(
            HEALTH_METHOD, StringValue.SerializeToString, Int32Value.FromString
        )

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        refuse_to_pickle()

    @property
    def target(self) -> str:
        """The address that was given, or the environment's."""
        return self._reach.target

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        self._is_closed = True
        await self._channel.close()

    async def health(self, service: str) -> bool:
        """Whether the server, or one of its services, reports that it is serving; never retried."""
        self._check_open()
        request = StringValue(value=text(service, "service"))
        started = time.monotonic()
        try:
            response = await self._check_health(
                request, timeout=self.timeout, metadata=self._metadata
            )
        except grpc.RpcError as error:
            failure = from_rpc(error)
            await self.may_retry(failure)
            raise self.final(failure, time.monotonic() - started) from None
        self._reach.reached()
        return bool(response.value == SERVING)

    async def send(self, call: Call[T]) -> T:
        """Send a call; retry it until the timeout if that is safe and may help."""
        method = self._stubs.method(call.service, call.method)
        return await self._retried(call, partial(self._attempt, method))

    async def append(self, call: Call[T]) -> T:
        """As `send`, for an append of one event; concurrent ones may share requests."""
        if not self._is_gathering:
            return await self.send(call)
        project = call.request.project  # type: ignore[attr-defined]  # an AppendEventRequest
        return await self._retried(call, self._gatherings[project].append)

    async def _append_attempt(self, method: str, request: Message, seconds: float) -> Any:
        return await self._attempt(self._stubs.method(RUNS, method), request, seconds)

    async def _attempt(self, method: Any, request: Message, seconds: float) -> Any:
        try:
            return await method(request, timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_rpc(error) from None

    async def _retried(self, call: Call[T], attempt: Attempt) -> T:
        attempts = Attempts(self.timeout, self.backoff)
        while True:
            self._check_open()
            left = attempts.begin()
            try:
                response = await attempt(call.request, left)
            except RunstoreError as error:
                failure, delay = attempts.failed(error)
                if delay is None or not await self.may_retry(failure):
                    raise self.final(failure, attempts.seconds) from None
                await asyncio.sleep(delay)
            else:
                self._reach.reached()
                return call.decode(response)

    async def pages(self, page: Callable[[str], Call[Page[T]]]) -> AsyncIterator[T]:
        """Yield the items of a listing, page by page."""
        token = ""
        while True:
            items, token = await self.send(page(token))
            for item in items:
                yield item
            if not token:
                return

    async def send_stream(
        self,
        call: Call[T],
        requests: Callable[[], transport.Requests],
        patience: Patience | None,
    ) -> T:
        """Send a call of many requests; while `patience` lasts, start over when it fails."""
        method = self._stubs.method(call.service, call.method)
        while True:
            self._check_open()
            try:
                response = await transport.send_all(method, requests(), self._metadata)
            except grpc.RpcError as error:
                failure = from_requests(error)
                delay = patience.delay(failure) if patience else None
                if delay is None or not await self.may_retry(failure):
                    raise self.final(failure) from None
                await asyncio.sleep(delay)
            else:
                self._reach.reached()
                return call.decode(response)

    async def follow(self, stream: ResumableStream[T]) -> AsyncGenerator[T]:
        """Yield the items of a stream; reopen it when it breaks or falls silent."""
        while not stream.is_over:
            try:
                async with aclosing(self._receive(stream)) as items:
                    async for item in items:
                        yield item
            except RunstoreError as error:
                delay = stream.retry_delay(error)
                if delay is None or not await self.may_retry(error):
                    raise self.final(error) from None
                await asyncio.sleep(delay)

    async def _receive(self, stream: ResumableStream[T]) -> AsyncGenerator[T]:
        call = self.open(stream.service, stream.method, stream.request())
        try:
            async with aclosing(transport.messages(call, stream.silence_seconds)) as messages:
                async for message in messages:
                    self._reach.reached()
                    for item in stream.take(message):
                        yield item
            stream.ended()
        except grpc.RpcError as error:
            raise from_stream(error) from None
        finally:
            call.cancel()

    def reached(self) -> None:
        """A stream has begun."""
        self._reach.reached()

    async def may_retry(self, error: RunstoreError) -> bool:
        """Note a failed attempt; return whether the connection permits another."""
        if self._reach.is_first_failure(error):
            if self._is_closed or await transport.is_unreachable(self._channel):
                return False
            self._reach.reached()
        return not self._is_closed

    def final(self, error: RunstoreError, seconds: float | None = None) -> RunstoreError:
        """What is raised for the error of the last attempt."""
        if self._is_closed and not error.reason:
            return closed()
        self._reach.explain(error, seconds)
        return error

    def _check_open(self) -> None:
        self._home.check()
        if self._is_closed:
            raise closed()

    def open(self, service: str, method: str, sent: Any) -> Any:
        """Open a stream: the gRPC call; `sent` is a message or an iterator of messages."""
        self._check_open()
        return self._stubs.method(service, method)(sent, metadata=self._metadata)
