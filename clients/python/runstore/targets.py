"""Addresses of servers: which a client accepts, and what it knows of the server at one."""

from __future__ import annotations

import re
import time
from ipaddress import ip_address

from runstore.arguments import InvalidArgument, text
from runstore.errors import RunstoreError, Unavailable

MAX_PORT = 65535
# What gRPC resolves itself; it takes any other scheme for the name of a host.
_RESOLVED = re.compile(
    r"(dns|ipv4|ipv6|unix|unix-abstract|vsock|xds|google-c2p|passthrough):", re.IGNORECASE
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]@]+):([0-9]+)")
_SOCKET = re.compile("unix(-abstract)?:", re.IGNORECASE)
# Without a server to ask for the name.
_HOSTS = re.compile("(?:dns|ipv4|ipv6):(?:///)?([^/]+)", re.IGNORECASE)
_EXAMPLE = "such as localhost:7411"
_SECURE = "grpcs://"


def checked_target(target: str) -> str:
    """The address; raise `InvalidArgument` for one that no server can have."""
    given = text(target, "target")
    address = address_of(given)
    if _RESOLVED.match(address) and not _HOST_PORT.fullmatch(address):
        return given
    if scheme := _SCHEME.match(address):
        problem = f"must be host:port, {_EXAMPLE}, without {scheme[0]}; is {given!r}"
        raise InvalidArgument("target", problem)
    found = _HOST_PORT.fullmatch(address)
    if not found:
        raise InvalidArgument("target", f"must be host:port, {_EXAMPLE}; is {given!r}")
    if not 0 < int(found[2]) <= MAX_PORT:
        raise InvalidArgument("target", f"must have a port of 1..{MAX_PORT}; is {given!r}")
    return given


def is_secure(target: str) -> bool:
    """Whether the address asks for TLS."""
    return target.startswith(_SECURE)


def address_of(target: str) -> str:
    """What gRPC connects to."""
    return target.removeprefix(_SECURE)


def is_loopback(target: str) -> bool:
    """Whether what is sent to the address stays on this machine: it is of loopback, or a socket."""
    address = address_of(target)
    if _HOST_PORT.fullmatch(address):
        return _is_local(address)
    if _SOCKET.match(address):
        return True
    named = _HOSTS.fullmatch(address)
    return named is not None and all(map(_is_local, named[1].split(",")))


def _is_local(address: str) -> bool:
    found = _HOST_PORT.fullmatch(address)
    host = (found[1] if found else address).strip("[]").lower()
    if host == "localhost":
        return True
    try:
        ip = ip_address(host)
    except ValueError:
        return False
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


class Reach:
    """What a connection knows of its target: whether it has ever been reached.

    Until then a call is tried once: an address without a server is a mistake more often than a
    server that is about to start, and trying on would hide it.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self._was_reached = False
        self._failing_since: float | None = None

    def reached(self) -> None:
        """A call came to its end, or a stream has begun."""
        self._was_reached, self._failing_since = True, None

    def is_first_failure(self, error: RunstoreError) -> bool:
        """Note a failed attempt; return whether it may be one of a target that has no server."""
        if error.reason:
            self.reached()
        elif self._failing_since is None:
            self._failing_since = time.monotonic()
        return isinstance(error, Unavailable) and not self._was_reached

    def explain(self, error: RunstoreError, seconds: float | None = None) -> None:
        """Add to an error without a reason at which target, and for how long, it was tried.

        Without `seconds` that is the time since the first failure after the last answer.
        """
        if error.reason:
            self.reached()
            return
        (message,) = error.args
        if isinstance(error, Unavailable) and not self._was_reached:
            error.args = (f"no server answers at {self.target}, tried once: {message}",)
            return
        if seconds is None:
            now = time.monotonic()
            seconds = now - (self._failing_since or now)
        error.args = (f"{message} ({self.target}, tried for {seconds:.1f} s)",)
