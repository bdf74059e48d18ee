"""The bare baseline: the same messages over gRPC, and nothing behind them.

python -m bench.echo
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import uvloop
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.run_service_pb2_grpc import RunServiceServicer, add_RunServiceServicer_to_server


class Echo(RunServiceServicer):
    async def AppendEvent(  # noqa: N802 - the RPC's name
        self, request: rpc.AppendEventRequest, _context: Any
    ) -> rpc.AppendEventResponse:
        return _answer(request)

    async def AppendEventStream(  # noqa: N802 - the RPC's name
        self, requests: AsyncIterator[rpc.AppendEventStreamRequest], _context: Any
    ) -> AsyncIterator[rpc.AppendEventStreamResponse]:
        async for request in requests:
            yield rpc.AppendEventStreamResponse(
                correlation_id=request.correlation_id, appended=_answer(request.append)
            )


def _answer(request: rpc.AppendEventRequest) -> rpc.AppendEventResponse:
    answer = rpc.AppendEventResponse(seq=1, hash=b"x" * 32, event_id=request.event.event_id)
    answer.recorded_at.GetCurrentTime()
    return answer


async def main() -> None:
    server = grpc.aio.server()
    add_RunServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"runstore echo serves 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main())
