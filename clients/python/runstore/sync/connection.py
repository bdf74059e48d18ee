# Generated from aio/connection.py; see generate_sync.py.
"""The connection of a synchronous client: how calls are sent, retried and followed."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any, NoReturn, SupportsIndex, TypeVar

import grpc
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from runstore.calls.call import Call, Page
from runstore.channels import (
    HEALTH_METHOD,
    SERVING,
    HomeProcess,
    Metadata,
    Stubs,
    refuse_to_pickle,
    target_of,
)
from runstore.errors import RunstoreError, from_rpc, from_stream
from runstore.retry import Backoff, Patience
from runstore.streams.resumable import ResumableStream
from runstore.sync import transport

T = TypeVar("T")


class Connection:
    """Sends calls to one target; connects at the first call."""

    def __init__(
        self,
        target: str | None,
        *,
        timeout: float,
        credentials: grpc.ChannelCredentials | None,
        metadata: Metadata,
    ) -> None:
        self.timeout = timeout
        self.backoff = Backoff()
        self._home = HomeProcess()
        self._is_closed = False
        self._metadata = tuple(metadata)
        self._channel = transport.open_channel(target_of(target), credentials)
        self._stubs = Stubs(self._channel)
        self._check_health = self._channel.unary_unary(
            HEALTH_METHOD, StringValue.SerializeToString, Int32Value.FromString
        )

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        refuse_to_pickle()

    def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        self._is_closed = True
        self._channel.close()

    def health(self, service: str) -> bool:
        """Whether the server, or one of its services, reports that it is serving; never retried."""
        self._home.check()
        request = StringValue(value=service)
        try:
            response = self._check_health(request, timeout=self.timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        return bool(response.value == SERVING)

    def send(self, call: Call[T]) -> T:
        """Send a call; retry it until the timeout if that is safe and may help."""
        self._home.check()
        deadline, attempt = time.monotonic() + self.timeout, 0
        method = self._stubs.method(call.service, call.method)
        while True:
            attempt += 1
            left = max(deadline - time.monotonic(), 0.001)
            try:
                response = method(call.request, timeout=left, metadata=self._metadata)
            except grpc.RpcError as error:
                failure = from_rpc(error)
                delay = self.backoff.delay(attempt, failure)
                if delay is None or self._is_closed or time.monotonic() + delay > deadline:
                    raise failure from None
                time.sleep(delay)
            else:
                return call.decode(response)

    def pages(self, page: Callable[[str], Call[Page[T]]]) -> Iterator[T]:
        """Yield the items of a listing, page by page."""
        token = ""
        while True:
            items, token = self.send(page(token))
            for item in items:
                yield item
            if not token:
                return

    def send_stream(
        self,
        call: Call[T],
        requests: Callable[[], Generator[Message]],
        patience: Patience | None,
    ) -> T:
        """Send a call of many requests; while `patience` lasts, start over when it fails."""
        self._home.check()
        method = self._stubs.method(call.service, call.method)
        while True:
            try:
                response = transport.send_all(method, requests(), self._metadata)
            except grpc.RpcError as error:
                failure = from_stream(error)
                delay = patience.delay(failure) if patience else None
                if delay is None or self._is_closed:
                    raise failure from None
                time.sleep(delay)
            else:
                return call.decode(response)

    def follow(self, stream: ResumableStream[T]) -> Generator[T]:
        """Yield the items of a stream; reopen it when it breaks or falls silent."""
        while not stream.is_over:
            try:
                with closing(self._receive(stream)) as items:
                    for item in items:
                        yield item
            except RunstoreError as error:
                delay = stream.retry_delay(error)
                if delay is None or self._is_closed:
                    raise
                time.sleep(delay)

    def _receive(self, stream: ResumableStream[T]) -> Generator[T]:
        call = self.open(stream.service, stream.method, stream.request())
        try:
            with closing(transport.messages(call, stream.silence_seconds)) as messages:
                for message in messages:
                    for item in stream.take(message):
                        yield item
            stream.ended()
        except grpc.RpcError as error:
            raise from_stream(error) from None
        finally:
            call.cancel()

    def open(self, service: str, method: str, sent: Any) -> Any:
        """Open a stream: the gRPC call; `sent` is a message or an iterator of messages."""
        self._home.check()
        return self._stubs.method(service, method)(sent, metadata=self._metadata)
