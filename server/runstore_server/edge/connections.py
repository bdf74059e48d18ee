"""How gRPC connections are kept, and how much each may take of the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from runstore_storage.contract.errors import Overloaded

# A connection whose streams are all open can still make calls: this many at a time.
CALLS_BESIDE_STREAMS = 100
RETRY_AFTER_SECONDS = 1.0
# gRPC cancels calls that have waited for this server's event loop, too many or too long, without a
# reason. Calls wait here instead, as many as the streams of all connections allow.
NO_LIMIT = 2**31 - 1
UNREQUESTED_SECONDS = 86_400
MOST_KEEPALIVE_TIMEOUT_SECONDS = 10.0

Option = tuple[str, int]

# Under TLS. Else a client whose certificate is no longer accepted would stay for as long as its
# connection lasts. Its calls have five minutes to end; streams are resumed by clients.
CONNECTION_AGE: tuple[Option, ...] = (
    ("grpc.max_connection_age_ms", 3_600_000),
    ("grpc.max_connection_age_grace_ms", 300_000),
)


def connection_options(*, streams: int, keepalive_seconds: float) -> list[Option]:
    """gRPC's options for connections that may have this many streams open.

    A client queues what is beyond HTTP/2's limit. Resets do not get around it: streams that are
    over count until the server has done with them, and only as many of them are taken. So a flood
    on one connection delays calls on others by the time that some such calls take.
    """
    most = streams + CALLS_BESIDE_STREAMS
    keepalive_timeout = min(keepalive_seconds, MOST_KEEPALIVE_TIMEOUT_SECONDS)
    return [
        ("grpc.max_concurrent_streams", most),
        ("grpc.http2.max_deallocating_streams", most),
        ("grpc.server.max_pending_requests", NO_LIMIT),
        ("grpc.server.max_pending_requests_hard_limit", NO_LIMIT),
        ("grpc.server_max_unrequested_time_in_server", UNREQUESTED_SECONDS),
        ("grpc.keepalive_time_ms", round(keepalive_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", round(keepalive_timeout * 1000)),
        # Any ping in flight holds back those of keepalive, and is given a minute otherwise.
        ("grpc.http2.ping_timeout_ms", round(keepalive_timeout * 1000)),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]


class OpenStreams:
    """The open streams of each connection: at most `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: Counter[str] = Counter()

    @contextmanager
    def opened(self, peer: str) -> Iterator[None]:
        """Count a stream while the context lasts; raise `Overloaded` if it is one too many."""
        if self._open[peer] >= self._limit:
            raise Overloaded(
                RETRY_AFTER_SECONDS,
                f"this connection has {self._limit} open streams, which is the most",
            )
        self._open[peer] += 1
        try:
            yield
        finally:
            self._open[peer] -= 1
            if not self._open[peer]:
                del self._open[peer]
