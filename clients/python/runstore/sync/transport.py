"""What differs between synchronous and asynchronous gRPC; `aio.transport` is its twin."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from runstore.channels import options_of
from runstore.errors import silence
from runstore.streams.artifacts import pieces
from runstore.targets import address_of
from runstore.tokens import Metadata
from runstore.v1 import artifact_service_pb2 as rpc
from runstore.values.artifacts import Data

T = TypeVar("T")
DataT = TypeVar("DataT")

Requests = Generator[Message]


class Stream(Protocol):
    """A server stream that can be cancelled from another thread."""

    def __next__(self) -> Message: ...

    def cancel(self) -> object: ...


def open_channel(target: str, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    address, options = address_of(target), options_of(target)
    if credentials:
        return grpc.secure_channel(address, credentials, options=options)
    return grpc.insecure_channel(address, options=options)


def is_unreachable(channel: grpc.Channel) -> bool:
    """True if the last attempt to connect has failed."""
    # The public way is to subscribe; its thread keeps a process from ending while the channel is
    # open and gRPC's support of forks is off.
    state: int = channel._channel.check_connectivity_state(False)  # type: ignore[attr-defined]  # noqa: SLF001
    return state == grpc.ChannelConnectivity.TRANSIENT_FAILURE.value[0]


def messages(call: Stream, silence_seconds: float) -> Generator[Message]:
    """Yield the stream's messages; raise `Unavailable` if it is silent for too long."""
    is_silent = threading.Event()  # never cleared: a message may arrive just as the call is ended
    while True:
        watch = threading.Timer(silence_seconds, _end_silent, (call, is_silent))
        watch.daemon = True
        watch.start()
        try:
            message = next(call)
        except StopIteration:
            return
        except grpc.RpcError:
            if is_silent.is_set():
                raise silence(silence_seconds) from None
            raise
        finally:
            watch.cancel()
        yield message


def _end_silent(call: Stream, is_silent: threading.Event) -> None:
    is_silent.set()
    call.cancel()


def send_all(method: Any, requests: Requests, metadata: Metadata) -> Any:
    """Send a stream of requests; the response may arrive before all of them are sent."""
    failures: list[Exception] = []

    def given() -> Generator[Message]:
        try:
            yield from requests
        except Exception as error:
            failures.append(error)
            raise  # ends the call as failed, not as complete

    try:
        return method(given(), metadata=metadata)
    except grpc.RpcError:
        if failures:
            raise failures[0] from None
        raise


def run_blocking(work: Callable[[DataT], T], data: DataT) -> T:
    """Do the work in the calling thread."""
    return work(data)


def upload_requests(first: Message, data: Data) -> Requests:
    """The requests of an upload: the first, then the data in pieces small enough to send."""
    yield first
    for piece in pieces(data):
        yield rpc.UploadArtifactRequest(chunk=piece)
