"""A server that follows a script, to do what a real one does only when things go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from runstore.v1 import events_pb2
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.run_service_pb2_grpc import RunServiceServicer

Response = rpc.StreamEventsResponse
Answer = Callable[[rpc.AppendEventStreamRequest], rpc.AppendEventStreamResponse | None]

# The statuses of a call whose path to the server breaks, as gRPC and proxies make them.
BROKEN_PATH = [
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
]
BROKEN_STREAM = [*BROKEN_PATH, grpc.StatusCode.DEADLINE_EXCEEDED]


class Script(RunServiceServicer):
    """What happens each time a stream is opened; `None` in a script drops it as `dropped_as`.

    A stream of events is a list of messages, and hangs after them where they end in `...`. An
    append stream is a function of the request that ends after the event `ends_after`. `calls` are
    the responses of AppendEvent, or `None`; `...` hangs.
    """

    def __init__(self) -> None:
        self.streams: list[Sequence[Any]] = []
        self.asked: list[int] = []
        self.appends: list[Answer] = []
        self.sent: list[list[str]] = []
        self.ends_after = ""
        self.was_asked = asyncio.Event()
        self.address = ""
        self.dropped_as = grpc.StatusCode.UNAVAILABLE
        self.dropped_with: status_pb2.Status | None = None
        self.dropped_saying = "dropped"
        self.calls: list[Any] = []
        self.requests: list[Message] = []

    async def StreamEvents(self, request: Any, context: Any) -> AsyncIterator[Response]:  # noqa: N802 - an RPC
        self.asked.append(request.from_seq)
        self.was_asked.set()
        for message in self.streams[len(self.asked) - 1]:
            if message is None:
                await self._drop(context)
            if message is ...:
                await asyncio.Event().wait()
            yield message

    async def AppendEventStream(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - an RPC
        seen: list[str] = []
        self.sent.append(seen)
        answer = self.appends[len(self.sent) - 1]
        async for request in requests:
            seen.append(request.append.event.event_id)
            response = answer(request)
            if response is None:
                await self._drop(context)
            yield response
            if seen[-1] == self.ends_after:
                return

    async def AppendEvent(self, request: Message, context: Any) -> Any:  # noqa: N802 - an RPC
        return await self._call(request, context)

    async def _call(self, request: Message, context: Any) -> Message:
        self.requests.append(request)
        response = self.calls[len(self.requests) - 1]
        if response is None:
            await self._drop(context)
        if response is ...:
            await asyncio.Event().wait()
        return response or rpc.AppendEventResponse()

    async def _drop(self, context: Any) -> None:
        if self.dropped_with:
            details = self.dropped_with.SerializeToString()
            context.set_trailing_metadata((("grpc-status-details-bin", details),))
        await context.abort(self.dropped_as, self.dropped_saying)


def batch(*seqs: int) -> Response:
    events = [events_pb2.Event(seq=seq, type="tick") for seq in seqs]
    return Response(events=rpc.EventBatch(events=events))


def caught_up(last_seq: int) -> Response:
    return Response(caught_up=rpc.CaughtUp(last_seq=last_seq))


def heartbeat(last_seq: int) -> Response:
    return Response(heartbeat=rpc.Heartbeat(last_seq=last_seq))


def end_of_run(last_seq: int) -> Response:
    return Response(end_of_run=rpc.EndOfRun(last_seq=last_seq, outcome=1))


def status(code: int, reason: str, **metadata: str) -> status_pb2.Status:
    """A status as the server builds it."""
    info = Packed()
    info.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="runstore.v1", metadata=metadata))
    return status_pb2.Status(code=code, message=reason.lower(), details=[info])
