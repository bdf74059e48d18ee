"""Connections of a load generator, kept from one job to the next."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import grpc
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore_storage.database.opening import connect

# Channels of one process to one address would share a connection otherwise.
_OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)
_ANY_SIZE = ("grpc.max_receive_message_length", -1)


_known: dict[str, dict[str, str]] = {}


async def known(address: str, token: str = "", ca: str = "") -> dict[str, Any]:
    """Say what to show a server, and by which CA to know it, before the first call to it."""
    _known[address] = {"token": token, "ca": ca}
    return {}


@cache
def channel(address: str, number: int = 0) -> grpc.aio.Channel:
    """A connection to an address; another number is another connection."""
    options = [_OWN_CONNECTION, _ANY_SIZE, ("bench.number", number)]
    given = _known.get(address, {})
    shown = [_Shown(given["token"])] if given.get("token") else []
    if not given.get("ca"):
        return grpc.aio.insecure_channel(address, options=options, interceptors=shown)
    trusted = grpc.ssl_channel_credentials(Path(given["ca"]).read_bytes())
    return grpc.aio.secure_channel(address, trusted, options=options, interceptors=shown)


class _Shown(grpc.aio.UnaryUnaryClientInterceptor):
    """Shows a token with each call."""

    def __init__(self, token: str) -> None:
        self._metadata = grpc.aio.Metadata(("authorization", f"Bearer {token}"))

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(details._replace(metadata=self._metadata), request)


@cache
def stub(address: str, number: int = 0) -> RunServiceStub:
    return RunServiceStub(channel(address, number))


def stubs(address: str, connections: int) -> itertools.cycle[RunServiceStub]:
    """Stubs over so many connections, in turn and without end."""
    return itertools.cycle([stub(address, number) for number in range(connections)])


_pools: dict[tuple[str, str], asyncpg.Pool] = {}


async def pool(url: str, schema: str) -> asyncpg.Pool:
    """Connections set up as the server sets up its own."""
    if (url, schema) not in _pools:
        _pools[url, schema] = await asyncpg.create_pool(
            connect=lambda *_, **__: connect(url, schema=schema, name="bench"),
            min_size=4,
            max_size=4,
        )
    return _pools[url, schema]
