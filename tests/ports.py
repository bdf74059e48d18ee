"""Ports for processes that tests start, and may start again."""

from __future__ import annotations

import socket


def reserved_port() -> int:
    """A port of 127.0.0.1 that no other program gets by chance while this process lives.

    It is bound and not listened on: connections are refused, and a server that asks for this port,
    with SO_REUSEADDR as servers do, gets it as often as it likes.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = int(held.getsockname()[1])
    held.detach()  # it stays bound until the process ends
    return port
