"""AppendEventStream: many appends in flight over one call, answered in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.contract.events import Event

from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.refusals import refusal
from runstore_server.edge.requests import Undecoded, Unreadable, decoded
from runstore_server.validation.requests import admit_events

WINDOW = 1024

Append = Callable[[rpc.AppendEventRequest, Sequence[Event]], Awaitable[rpc.AppendEventResponse]]

Allow = Callable[[rpc.AppendEventStreamRequest], None]
"""Binds what a request may touch, or raises why it may not be made."""

Admitted = Sequence[Event] | Exception
"""What a request appends, or why it is refused."""

Answering = asyncio.Task[rpc.AppendEventStreamResponse]

# The event loop holds tasks weakly, and an append continues when its client is gone.
_in_flight: set[Answering] = set()


class Pipeline:
    """Reads requests while the answers to at most `WINDOW` of them have not been sent."""

    def __init__(self, append: Append, allow: Allow, lifecycle: Lifecycle) -> None:
        self._append = append
        self._allow = allow
        self._lifecycle = lifecycle
        self._room = asyncio.Semaphore(WINDOW)
        self._answers: asyncio.Queue[Answering | None] = asyncio.Queue()

    async def run(
        self, requests: AsyncIterator[rpc.AppendEventStreamRequest | Undecoded | Unreadable]
    ) -> AsyncGenerator[rpc.AppendEventStreamResponse, None]:
        """Yield one answer for each request; return when the client is done and all are answered.

        A draining server answers the requests it has read and ends the call as SERVER_DRAINING.
        """
        reading = asyncio.create_task(self._read(requests))
        sources = [reading, asyncio.create_task(self._lifecycle.draining.wait())]
        for source in sources:
            source.add_done_callback(lambda _: self._answers.put_nowait(None))
        try:
            while answering := await self._answers.get():
                yield await asyncio.shield(answering)
                self._room.release()
        finally:
            for source in sources:
                source.cancel()
            await asyncio.gather(*sources, return_exceptions=True)
        self._lifecycle.check()
        reading.result()  # raises what ended the reading, so that no request goes unanswered

    async def _read(
        self, requests: AsyncIterator[rpc.AppendEventStreamRequest | Undecoded | Unreadable]
    ) -> None:
        async for sent in requests:
            await self._room.acquire()
            request = await decoded(sent)
            # Not in the task, so that no later request overtakes one that is checked aside.
            admitted = await self._admitted(request)  # also binds what its task may touch
            answering = asyncio.create_task(self._answer(request, admitted))
            _in_flight.add(answering)
            answering.add_done_callback(_in_flight.discard)
            self._answers.put_nowait(answering)

    async def _answer(
        self, request: rpc.AppendEventStreamRequest | Unreadable, admitted: Admitted
    ) -> rpc.AppendEventStreamResponse:
        if isinstance(request, Unreadable):
            return rpc.AppendEventStreamResponse(error=refusal(request.error))
        response = rpc.AppendEventStreamResponse(correlation_id=request.correlation_id)
        try:
            self._lifecycle.check()
            if isinstance(admitted, Exception):
                raise admitted
            response.appended.CopyFrom(await self._append(request.append, admitted))
        except Exception as error:
            response.error.CopyFrom(refusal(error))
        return response

    async def _admitted(self, request: rpc.AppendEventStreamRequest | Unreadable) -> Admitted:
        if isinstance(request, Unreadable):
            return request.error
        try:
            self._allow(request)
            return await admit_events(request, (request.append.event,))
        except Exception as error:
            return error
