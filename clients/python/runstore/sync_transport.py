"""What synchronous gRPC does in its own way; `aio_transport` is its twin."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Protocol

import grpc
from google.protobuf.message import Message

from runstore.channels import OPTIONS
from runstore.errors import silence
from runstore.sync_appender import Appender

__all__ = ["Appender", "messages", "open_channel"]


class Stream(Protocol):
    """A server stream that can be cancelled from another thread."""

    def __next__(self) -> Message: ...

    def cancel(self) -> object: ...


def open_channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    if credentials:
        return grpc.secure_channel(address, credentials, options=OPTIONS)
    return grpc.insecure_channel(address, options=OPTIONS)


def messages(call: Stream, silence_seconds: float) -> Generator[Message]:
    """Yield what the stream brings; raise `Unavailable` when it is silent for too long."""
    is_silent = threading.Event()  # for good: the watch may end the call just as a message comes
    while True:
        watch = threading.Timer(silence_seconds, _give_up, (call, is_silent))
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


def _give_up(call: Stream, is_silent: threading.Event) -> None:
    is_silent.set()
    call.cancel()
