"""Connections of a load generator, kept from one job to the next."""

from __future__ import annotations

import itertools
from functools import cache

import asyncpg
import grpc
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore_storage.database.opening import connect

# Channels of one process to one address would share a connection otherwise.
_OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)
_ANY_SIZE = ("grpc.max_receive_message_length", -1)


@cache
def channel(address: str, number: int = 0) -> grpc.aio.Channel:
    """A connection to an address; another number is another connection."""
    options = [_OWN_CONNECTION, _ANY_SIZE, ("bench.number", number)]
    return grpc.aio.insecure_channel(address, options=options)


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
