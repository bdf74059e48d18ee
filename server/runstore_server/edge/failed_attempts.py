"""Bounding how often somebody may try credentials that are not taken."""

from __future__ import annotations

import time
from ipaddress import IPv6Address, ip_address
from urllib.parse import unquote

from runstore_server.edge.buckets import Bucket, Clock
from runstore_server.edge.listening import is_loopback

PER_SECOND = 10
MAX_ADDRESSES = 10_000
# Those that were looked at together can be many.
MOST_SECONDS = 1.0
# To look through all of them takes some milliseconds.
CLEAR_SECONDS = 1.0
NETWORK_BITS = 64
LIMIT = "failed credentials"


class FailedAttempts:
    """Those of each address; of IPv6, of each network of 64 bits, as a host has all of one.

    Loopback is not bounded: a proxy on this host lets everybody appear to be there.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}
        self._cleared_at = clock()

    def seconds_until_next(self, peer: str) -> float:
        """How long nothing unknown that comes from there is to be looked at; 0 if it may be now."""
        bucket = self._buckets.get(_network(peer)) if self._buckets else None
        return bucket.seconds_until_next() if bucket else 0.0

    def count(self, peer: str) -> None:
        """Count a credential from there that was not taken."""
        network = _network(peer)
        if not network:
            return
        if network not in self._buckets:
            self._make_room()
            self._buckets[network] = Bucket(PER_SECOND, self._clock)
        bucket = self._buckets[network]
        if bucket.seconds_until_next() < MOST_SECONDS:
            bucket.take(1)

    def _make_room(self) -> None:
        """Forget those that are made up for, looked for once a second, or else the oldest."""
        if len(self._buckets) < MAX_ADDRESSES:
            return
        now = self._clock()
        if now - self._cleared_at >= CLEAR_SECONDS:
            self._cleared_at = now
            self._buckets = {of: each for of, each in self._buckets.items() if not each.is_full}
        if len(self._buckets) >= MAX_ADDRESSES:
            del self._buckets[next(iter(self._buckets))]


def _network(peer: str) -> str:
    """What an address belongs to; "" for loopback, and for what is no address.

    gRPC writes "ipv4:192.0.2.1:50" and "ipv6:%5B2001:db8::1%5D:50", HTTP "192.0.2.1:50".
    """
    host = unquote(peer).removeprefix("ipv4:").removeprefix("ipv6:").rpartition(":")[0].strip("[]")
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if is_loopback(str(address)):
        return ""
    if isinstance(address, IPv6Address):
        return str(int(address) >> NETWORK_BITS)
    return str(address)
