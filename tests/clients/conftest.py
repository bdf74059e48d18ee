"""A scripted server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest_asyncio
from clients.script import Script
from runstore.v1.run_service_pb2_grpc import add_RunServiceServicer_to_server


@pytest_asyncio.fixture
async def script() -> AsyncIterator[Script]:
    server = grpc.aio.server()
    followed = Script()
    add_RunServiceServicer_to_server(followed, server)
    followed.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield followed
    await server.stop(0)
