# Generated from aio/connection.py; see generate_sync.py.
"""The connection of a synchronous client: how calls are sent, retried and followed."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from typing import Any, NoReturn, SupportsIndex, TypeVar

import grpc
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from runstore.arguments import text
from runstore.calls.call import RUNS, Call, Page
from runstore.channels import (
    SERVING,
    HomeProcess,
    checked_metadata,
    checked_timeout,
    refuse_to_pickle,
    target_of,
)
from runstore.errors import (
    RunstoreError,
    Unavailable,
    closed,
    from_requests,
    from_rpc,
    from_stream,
)
from runstore.links import Links, Way
from runstore.retry import Attempts, Backoff, Patience
from runstore.streams.resumable import ResumableStream
from runstore.sync import transport
from runstore.sync.gathering import Gathering
from runstore.targets import Reach
from runstore.tls import Tls, security_of
from runstore.tokens import Metadata, authorized, judged

T = TypeVar("T")
Attempt = Callable[[Any, float], Any]


class Connection:
    """Sends calls to one target; connects at the first call."""

    def __init__(
        self,
        target: str | None,
        *,
        timeout: float,
        tls: Tls | None,
        credentials: grpc.ChannelCredentials | None,
        metadata: Metadata,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        insecure_token: bool = False,
        gather: bool = True,
    ) -> None:
        self.timeout = checked_timeout(timeout)
        self.backoff = Backoff()
        self._is_gathering = gather
        self._gatherings: dict[str, Gathering] = defaultdict(
            lambda: Gathering(self._append_attempt)
        )
        """By project."""
        self._home = HomeProcess()
        self._is_closed = False
        self._reach = Reach(target_of(target))
        security = security_of(self.target, tls, credentials)
        self._metadata = authorized(
            checked_metadata(metadata),
            self.target,
            token=token,
            token_file=token_file,
            insecure_token=insecure_token,
            is_encrypted=security.current() is not None,
        )
        self._links = Links(partial(transport.open_channel, self.target), security)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        refuse_to_pickle()

    @property
    def target(self) -> str:
        """The address that was given, or the environment's."""
        return self._reach.target

    def close(self) -> None:
        """Close the channels; calls in flight are cancelled."""
        self._is_closed = True
        for channel in self._links.all():
            channel.close()

    def health(self, service: str) -> bool:
        """Whether the server, or one of its services, reports that it is serving; never retried."""
        request = StringValue(value=text(service, "service"))
        started = time.monotonic()
        way = self.begin()
        try:
            response = way.check_health(request, self.timeout)
        except grpc.RpcError as error:
            failure = self.judged(from_rpc(error), way)
            self.may_retry(failure)
            raise self.final(failure, time.monotonic() - started) from None
        finally:
            self.end(way)
        self._reach.reached()
        return bool(response.value == SERVING)

    def send(self, call: Call[T]) -> T:
        """Send a call; retry it until the timeout if that is safe and may help."""
        return self._retried(call, partial(self._attempt, call.service, call.method))

    def append(self, call: Call[T]) -> T:
        """As `send`, for an append of one event; concurrent ones may share requests."""
        if not self._is_gathering:
            return self.send(call)
        project = call.request.project  # type: ignore[attr-defined]  # an AppendEventRequest
        return self._retried(call, self._gatherings[project].append)

    def _append_attempt(self, method: str, request: Message, seconds: float) -> Any:
        return self._attempt(RUNS, method, request, seconds)

    def _attempt(self, service: str, method: str, request: Message, seconds: float) -> Any:
        way = self.begin()
        try:
            return way.call(service, method, request, seconds)
        except grpc.RpcError as error:
            raise self.judged(from_rpc(error), way) from None
        finally:
            self.end(way)

    def _retried(self, call: Call[T], attempt: Attempt) -> T:
        attempts = Attempts(self.timeout, self.backoff)
        while True:
            left = attempts.begin()
            try:
                response = attempt(call.request, left)
            except RunstoreError as error:
                failure, delay = attempts.failed(error)
                if delay is None or not self.may_retry(failure):
                    raise self.final(failure, attempts.seconds) from None
                time.sleep(delay)
            else:
                self._reach.reached()
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
        requests: Callable[[], transport.Requests],
        patience: Patience | None,
    ) -> T:
        """Send a call of many requests; while `patience` lasts, start over when it fails."""
        while True:
            way = self.begin()
            try:
                response = transport.send_all(
                    way.method(call.service, call.method), requests(), way.metadata
                )
            except grpc.RpcError as error:
                failure = self.judged(from_requests(error), way)
                delay = patience.delay(failure) if patience else None
                if delay is None or not self.may_retry(failure):
                    raise self.final(failure) from None
            else:
                self._reach.reached()
                return call.decode(response)
            finally:
                self.end(way)
            time.sleep(delay)

    def follow(self, stream: ResumableStream[T]) -> Generator[T]:
        """Yield the items of a stream; reopen it when it breaks or falls silent."""
        while not stream.is_over:
            try:
                with closing(self._receive(stream)) as items:
                    for item in items:
                        yield item
            except RunstoreError as error:
                delay = stream.retry_delay(error)
                if delay is None or not self.may_retry(error):
                    raise self.final(error) from None
                time.sleep(delay)

    def _receive(self, stream: ResumableStream[T]) -> Generator[T]:
        way = self.begin()
        call = way.open(stream.service, stream.method, stream.request())
        try:
            with closing(transport.messages(call, stream.silence_seconds)) as messages:
                for message in messages:
                    self._reach.reached()
                    for item in stream.take(message):
                        yield item
            stream.ended()
        except grpc.RpcError as error:
            raise self.judged(from_stream(error), way) from None
        finally:
            call.cancel()
            self.end(way)

    def reached(self) -> None:
        """A stream has begun."""
        self._reach.reached()

    def may_retry(self, error: RunstoreError) -> bool:
        """Note a failed attempt; return whether the connection permits another."""
        is_first = self._reach.is_first_failure(error)
        is_renewed = isinstance(error, Unavailable) and self._links.look()
        if is_first and not is_renewed:
            if self._is_closed or transport.is_unreachable(self._links.newest):
                return False
            self._reach.reached()
        return not self._is_closed

    def final(self, error: RunstoreError, seconds: float | None = None) -> RunstoreError:
        """What is raised for the error of the last attempt."""
        if self._is_closed and not error.reason:
            return closed()
        self._reach.explain(error, seconds)
        self._links.explain(error)
        return error

    def begin(self) -> Way[grpc.Channel]:
        """The way of one attempt of a call, or of a stream; it has to come to its end."""
        self._home.check()
        if self._is_closed:
            raise closed()
        return Way(self._links.take(), self._metadata.current())

    def end(self, way: Way[grpc.Channel]) -> None:
        """The call is over."""
        for channel in self._links.give_back(way.link):
            channel.close()

    def judged(self, error: RunstoreError, way: Way[grpc.Channel]) -> RunstoreError:
        """The error of a call that went this way; says if its token has been replaced since."""
        return judged(error, self._metadata, way.metadata)
