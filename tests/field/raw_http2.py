"""HTTP/2 frames by hand, for what no gRPC library does."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HEADERS, RST_STREAM, SETTINGS = 1, 3, 4
ACK, END_HEADERS = 1, 4
CANCEL = 8
STREAMS_AT_ONCE = 100


@contextmanager
def resetting(target: str, path: str, streams: int) -> Iterator[None]:
    """Open calls on one connection and reset each at once; then keep the connection open."""
    host, _, port = target.rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        reading = threading.Thread(target=_read_all, args=(connection,), daemon=True)
        reading.start()
        connection.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(SETTINGS) + _frame(SETTINGS, ACK)
        )
        head = _head(target, path)
        for first in range(0, streams, STREAMS_AT_ONCE):
            ids = range(2 * first + 1, 2 * (first + STREAMS_AT_ONCE), 2)
            connection.sendall(b"".join(_reset_call(number, head) for number in ids))
        yield
        connection.shutdown(socket.SHUT_RDWR)
        reading.join(10)


def _reset_call(number: int, head: bytes) -> bytes:
    return _frame(HEADERS, END_HEADERS, number, head) + _frame(
        RST_STREAM, 0, number, struct.pack(">I", CANCEL)
    )


def _read_all(connection: socket.socket) -> None:
    with suppress(OSError):
        while connection.recv(1 << 16):
            pass


def _frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    length = struct.pack(">I", len(payload))[1:]
    return length + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _head(target: str, path: str) -> bytes:
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": target,
        "te": "trailers",
        "content-type": "application/grpc",
    }
    # HPACK's literals without indexing; every length here fits one byte.
    return b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )
