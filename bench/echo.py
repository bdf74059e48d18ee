"""The bare baseline: the same messages over gRPC, and nothing behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.run_service_pb2_grpc import RunServiceServicer, add_RunServiceServicer_to_server


class Echo(RunServiceServicer):
    async def AppendEvent(  # noqa: N802 - the RPC's name
        self, request: rpc.AppendEventRequest, _context: Any
    ) -> rpc.AppendEventResponse:
        return rpc.AppendEventResponse(seq=1, hash=b"x" * 32, event_id=request.event.event_id)

    async def AppendEventStream(  # noqa: N802 - the RPC's name
        self, requests: AsyncIterator[rpc.AppendEventStreamRequest], _context: Any
    ) -> AsyncIterator[rpc.AppendEventStreamResponse]:
        async for request in requests:
            yield rpc.AppendEventStreamResponse(
                correlation_id=request.correlation_id,
                appended=rpc.AppendEventResponse(seq=1, hash=b"x" * 32),
            )


async def serve() -> tuple[grpc.aio.Server, str]:
    server = grpc.aio.server()
    add_RunServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"
