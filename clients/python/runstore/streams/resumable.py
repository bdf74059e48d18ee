"""What a client needs of a server stream to reopen it after it broke."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from runstore.errors import RunstoreError

MISSED_HEARTBEATS = 3

T_co = TypeVar("T_co", covariant=True)


class ResumableStream(Protocol[T_co]):
    """A server stream's progress, by which it can be reopened where it broke."""

    @property
    def service(self) -> str: ...

    @property
    def method(self) -> str: ...

    @property
    def is_over(self) -> bool: ...

    @property
    def silence_seconds(self) -> float:
        """How long a live stream may be silent before it counts as dead."""

    def request(self) -> Message:
        """The request for everything that has not been delivered yet."""

    def take(self, message: Any) -> Iterator[T_co]:
        """Yield the items of a message, each once, and record the progress."""

    def retry_delay(self, error: RunstoreError) -> float | None:
        """How long to wait before the stream is reopened; None to give up."""

    def ended(self) -> None:
        """The server ended the stream with OK; raise `ProtocolError` if it may not end yet."""
