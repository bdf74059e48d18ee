"""The channels of a connection: one, and another once the files of TLS have changed.

gRPC's channels cannot take another certificate (grpc/grpc#41779), so a new one is opened. Calls and
streams keep the channel that they began on; what is called later, or opened again, goes over the
newest one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import grpc
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from runstore.channels import HEALTH_METHOD, Stubs
from runstore.errors import RunstoreError, Unavailable
from runstore.files import Reread
from runstore.tls import Security, credentials_of
from runstore.tokens import Metadata

ChannelT = TypeVar("ChannelT")  # of either kind of gRPC


class Link(Generic[ChannelT]):
    """A channel, what is called over it, and how many calls and streams use it."""

    def __init__(self, channel: ChannelT, security: Security) -> None:
        self.channel = channel
        self.security = security
        self.stubs = Stubs(channel)
        self.health: Any = channel.unary_unary(  # type: ignore[attr-defined]  # both kinds have it
            HEALTH_METHOD, StringValue.SerializeToString, Int32Value.FromString
        )
        self.users = 0


class Way(NamedTuple, Generic[ChannelT]):
    """How one call goes: over which link, and with which metadata."""

    link: Link[ChannelT]
    metadata: Metadata

    def method(self, service: str, name: str) -> Any:
        """What calls one RPC."""
        return self.link.stubs.method(service, name)

    def call(self, service: str, method: str, request: Message, seconds: float) -> Any:
        """Send a call that may take so long."""
        return self.method(service, method)(request, timeout=seconds, metadata=self.metadata)

    def open(self, service: str, method: str, sent: Any) -> Any:
        """Open a stream: the gRPC call; `sent` is a message or an iterator of messages."""
        return self.method(service, method)(sent, metadata=self.metadata)

    def check_health(self, request: StringValue, seconds: float) -> Any:
        """Send the call of the standard health service."""
        return self.link.health(request, timeout=seconds, metadata=self.metadata)


class Links(Generic[ChannelT]):
    """Gives each call its link. Safe to share between threads."""

    def __init__(
        self,
        open_channel: Callable[[grpc.ChannelCredentials | None], ChannelT],
        security: Reread[Security],
    ) -> None:
        self._open = open_channel
        self._security = security
        self._guard = threading.Lock()
        self._newest = self._link(security.current())
        self._older: list[Link[ChannelT]] = []

    @property
    def newest(self) -> ChannelT:
        return self._newest.channel

    def all(self) -> list[ChannelT]:
        """Every channel that is open."""
        with self._guard:
            return [each.channel for each in (*self._older, self._newest)]

    def look(self) -> bool:
        """Read the files of TLS now; return whether they ask for another channel."""
        return self._security.look() is not self._newest.security

    def explain(self, error: RunstoreError) -> None:
        """Add to an error of a server that cannot be reached which files cannot be used now."""
        if self._security.problem and isinstance(error, Unavailable):
            (message,) = error.args
            error.args = (f"{message} ({self._security.problem})",)

    def take(self) -> Link[ChannelT]:
        """The link of a call that begins; it is to be given back."""
        with self._guard:
            security = self._security.current()
            if security is not self._newest.security:
                self._older.append(self._newest)
                self._newest = self._link(security)
            self._newest.users += 1
            return self._newest

    def give_back(self, link: Link[ChannelT]) -> list[ChannelT]:
        """A call is over; return the channels that are to be closed now."""
        with self._guard:
            link.users -= 1
            if not self._older:
                return []
            unused = [each for each in self._older if not each.users]
            self._older = [each for each in self._older if each.users]
            return [each.channel for each in unused]

    def _link(self, security: Security) -> Link[ChannelT]:
        return Link(self._open(credentials_of(security)), security)
