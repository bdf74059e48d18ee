"""Asynchronous appends that share requests; `sync.gathering` is its twin."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from runstore.errors import RunstoreError, out_of_time
from runstore.streams.gathering import (
    LARGE_BYTES,
    PATIENCE_SECONDS,
    Outcome,
    Waiting,
    failures,
    is_unknown_method,
    outcomes_of,
    request_of,
    take,
)
from runstore.v1 import run_service_pb2 as rpc

Append = Waiting[asyncio.Future[Outcome]]
Send = Callable[[str, Any, float], Awaitable[Any]]


class AsyncGathering:
    """Lets the appends to one project that are made at the same time share requests.

    An append goes at once if no request is on its way. Those that come meanwhile go together when
    it is answered, or has taken `PATIENCE_SECONDS`. `send` makes one attempt of a call and raises
    `RunstoreError`.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: deque[Append] = deque()
        self._on_its_way: asyncio.TimerHandle | None = None
        """The latest request, as the end of the patience with it."""
        self._carrying: set[asyncio.Task[None]] = set()
        self._is_offered = True

    async def append(self, request: rpc.AppendEventRequest, seconds: float) -> Any:
        """Make one attempt of an append; raise `RunstoreError`."""
        size = request.ByteSize()
        if not self._is_offered or size > LARGE_BYTES:
            return await self._send("AppendEvent", request, seconds)
        if self._on_its_way is None:
            return await self._go_alone(request, seconds)
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        waiting = Waiting(request, size, time.monotonic() + seconds, answer)
        self._waiting.append(waiting)
        # Half as much work as `asyncio.timeout`, which is much for what shares its request.
        timer = asyncio.get_running_loop().call_later(seconds, _expire, answer)
        try:
            outcome = await answer
        finally:
            timer.cancel()
        if isinstance(outcome, RunstoreError):
            raise outcome
        return outcome or await self._go_alone(request, waiting.seconds)

    async def _go_alone(self, request: rpc.AppendEventRequest, seconds: float) -> Any:
        departed = self._depart()
        try:
            return await self._send("AppendEvent", request, seconds)
        finally:
            self._arrive(departed)

    def _depart(self) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        self._on_its_way = loop.call_later(PATIENCE_SECONDS, self._send_waiting)
        return self._on_its_way

    def _arrive(self, departed: asyncio.TimerHandle) -> None:
        departed.cancel()
        if departed is not self._on_its_way:
            return
        if self._waiting or self._carrying:
            # Those just answered run first, so that their next appends go along.
            asyncio.get_running_loop().call_soon(self._send_waiting)
        else:
            self._on_its_way = None

    def _send_waiting(self) -> None:
        self._on_its_way = None
        while batch := take(self._waiting):
            if len(batch) == 1:
                batch[0].answer.set_result(None)
                continue
            carrying = asyncio.create_task(self._carry(batch, self._depart()))
            self._carrying.add(carrying)
            carrying.add_done_callback(self._carrying.discard)

    async def _carry(self, batch: Sequence[Append], departed: asyncio.TimerHandle) -> None:
        try:
            outcomes = await self._outcomes(batch)
            for each, outcome in zip(batch, outcomes, strict=True):
                if not each.answer.done():
                    each.answer.set_result(outcome)
        finally:
            for each in batch:
                each.answer.cancel()  # those that have no answer, if this task was cancelled
            self._arrive(departed)

    async def _outcomes(self, batch: Sequence[Append]) -> Sequence[Outcome]:
        try:
            seconds = max(each.seconds for each in batch)
            response = await self._send("AppendMany", request_of(batch), seconds)
        except RunstoreError as error:
            self._is_offered = self._is_offered and not is_unknown_method(error)
            return failures(error, batch)
        return outcomes_of(response, len(batch))


def _expire(answer: asyncio.Future[Outcome]) -> None:
    if not answer.done():
        answer.set_result(out_of_time())
