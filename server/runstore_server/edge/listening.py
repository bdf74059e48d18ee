"""Addresses to listen on."""

from __future__ import annotations

import socket


class CannotBind(RuntimeError):
    """The address is taken or not ours."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"cannot listen on {host}:{port}: is another server there?")


def bound(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    """A socket on the address that does not listen yet; raise `CannotBind` where it cannot be had.

    With `reuse_port` several processes may have one; only those that listen are given connections.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind)
    except OSError as error:
        raise CannotBind(host, port) from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(address)
    except OSError as error:
        made.close()
        raise CannotBind(host, port) from error
    return made
