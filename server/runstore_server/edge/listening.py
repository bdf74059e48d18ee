"""Addresses to listen on, and what keeps a server from listening."""

from __future__ import annotations

import ipaddress
import socket


class CannotBind(RuntimeError):
    """The address is in use or is not one of this host."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"cannot listen on {host}:{port}: is another server using it?")


class Exposed(Exception):
    """The server would serve others than this host in plain text, or without asking who calls."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"not serving {host} in plain text or without knowing who calls: set"
            " RUNSTORE_TLS_CERT_FILE and RUNSTORE_TLS_KEY_FILE, and RUNSTORE_AUTH=required; or,"
            " where something in front sees to both, RUNSTORE_ALLOW_INSECURE=true"
        )


class UnusableCertificate(Exception):
    """Why the files of TLS cannot be used; here, as importing TLS itself takes long."""


def is_loopback(host: str) -> bool:
    """Whether only this host reaches an address: one of loopback, or the name localhost."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def bound(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    """A socket bound to the address that does not listen yet; raise `CannotBind` if it cannot be.

    With `reuse_port` several processes may bind one; only those that listen get connections.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind)
    except OSError as error:
        raise CannotBind(host, port) from error
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(address)
    except OSError as error:
        opened.close()
        raise CannotBind(host, port) from error
    return opened
