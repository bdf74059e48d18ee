"""Around every RPC of ours: the request's id, its log line, metrics, its status when it fails."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc
import structlog
from grpc.aio import AbortError, ServerInterceptor

from runstore_server.edge.admission import Admission, name_of
from runstore_server.edge.connections import OpenStreams
from runstore_server.edge.errors import Internal, code_of, is_known, status_of
from runstore_server.edge.identity import Shown
from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.metrics import Metrics
from runstore_server.edge.requests import (
    REQUEST_ID_KEY,
    RequestsCut,
    Unreadable,
    all_messages,
    decoded,
    id_of,
    inflated,
    reader,
    request_id,
)
from runstore_server.edge.standing import while_standing

OURS = "/runstore."
OPEN_TO_ALL = "/grpc.health."
DETAILS_KEY = "grpc-status-details-bin"
# The level at which the end of a call is logged; a client's fault is INFO.
LEVELS = {
    grpc.StatusCode.OK: logging.DEBUG,
    grpc.StatusCode.CANCELLED: logging.DEBUG,
    grpc.StatusCode.INTERNAL: logging.ERROR,
}

_log = structlog.get_logger(__name__)
_threshold = logging.getLogger(__name__)


class Calls(ServerInterceptor):
    """Wraps the RPCs of our services; of others (health, reflection), only their decoding and who
    may call them.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        *,
        max_request_bytes: int,
        connection_streams: int,
        metrics: Metrics | None = None,
        admission: Admission | None = None,
    ) -> None:
        self._lifecycle = lifecycle
        self._metrics = metrics or Metrics()
        self._admission = admission or Admission(self._metrics)
        self._max_request_bytes = max_request_bytes
        self._streams = OpenStreams(connection_streams)
        self._handlers: dict[str, Any] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return handler
        if method not in self._handlers:
            self._handlers[method] = self._served(handler, method)
        return self._handlers[method]

    def _served(self, handler: Any, method: str) -> Any:
        if not method.startswith(OURS):
            return self._of_others(handler, method)
        make, wrapped = self._wrapped(handler, method)
        # A stream is serialized here, so that its messages are not held while clients read.
        serialize = None if handler.response_streaming else handler.response_serializer
        return make(
            wrapped,
            request_deserializer=reader(handler.request_deserializer, self._max_request_bytes),
            response_serializer=serialize,
        )

    def _of_others(self, handler: Any, method: str) -> Any:
        """A handler of another service, which takes compressed messages as ours do."""
        decode, limit = handler.request_deserializer, self._max_request_bytes
        readable = handler._replace(request_deserializer=lambda data: decode(inflated(data, limit)))
        if method.startswith(OPEN_TO_ALL):
            return readable
        behavior = handler.stream_stream

        async def call(requests: Any, context: Any) -> AsyncIterator[Any]:
            async with self._answered(method, context):
                await self._admission.know(name_of(method), self._admission.shown_by(context))
                async for response in behavior(requests, context):
                    yield response

        return readable._replace(stream_stream=call)

    def _wrapped(self, handler: Any, method: str) -> tuple[Any, Any]:
        serialize = handler.response_serializer
        if handler.request_streaming and not handler.response_streaming:
            return grpc.stream_unary_rpc_method_handler, self._gathered(
                handler.stream_unary, method
            )
        if not handler.response_streaming:
            return grpc.unary_unary_rpc_method_handler, self._unary(handler.unary_unary, method)
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler, self._streamed(
                handler.stream_stream, method, serialize
            )
        return grpc.unary_stream_rpc_method_handler, self._streamed(
            handler.unary_stream, method, serialize
        )

    def _unary(self, behavior: Any, method: str) -> Any:
        name = name_of(method)

        async def call(sent: Any, context: Any) -> Any:
            async with self._answered(method, context):
                request, _ = await self._admitted(method, sent, context)
                began = time.monotonic()
                response = await behavior(request, context)
                self._metrics.call_took(name, time.monotonic() - began)
                self._metrics.answered(response)
                return response

        return call

    def _gathered(self, behavior: Any, method: str) -> Any:
        async def call(requests: Any, context: Any) -> Any:
            async with self._answered(method, context):
                with self._streams.opened(context.peer()):
                    messages = all_messages(requests, context)
                    shown = self._admission.shown_by(context)
                    await self._admission.know(name_of(method), shown)
                    first = await anext(messages, None)
                    if first is None:
                        return await behavior(messages, context)  # which refuses it
                    await self._admission.allow(method, first, shown, context)
                    async with self._admission.watch(shown, method, first) as standing:
                        given = while_standing(self._paced(method, first, messages), standing)
                        return await behavior(given, context)

        return call

    async def _paced(
        self, method: str, first: Any, rest: AsyncIterator[Any]
    ) -> AsyncGenerator[Any, None]:
        """All messages, no faster than their project may send them."""
        yield first
        async for each in rest:
            await self._admission.pace(method, first, each)
            yield each

    def _streamed(self, behavior: Any, method: str, serialize: Callable[[Any], bytes]) -> Any:
        name = name_of(method)

        async def call(sent: Any, context: Any) -> AsyncIterator[bytes]:
            async with self._answered(method, context):
                request, shown = await self._admitted(method, sent, context)
                with self._streams.opened(context.peer()), self._metrics.stream(name):
                    async with (
                        self._admission.watch(shown, method, request) as standing,
                        aclosing(while_standing(behavior(request, context), standing)) as responses,
                    ):
                        async for response in responses:
                            self._metrics.answered(response)
                            data = [serialize(response)]
                            del response
                            yield data.pop()

        return call

    async def _admitted(self, method: str, sent: Any, context: Any) -> tuple[Any, Shown]:
        """The request of a caller that may make it; a large one is decoded only for a known one."""
        shown = self._admission.shown_by(context)
        await self._admission.know(name_of(method), shown)
        request = await decoded(sent)
        structlog.contextvars.bind_contextvars(
            project=getattr(request, "project", ""), run_id=getattr(request, "run_id", "")
        )
        if isinstance(request, Unreadable):
            raise request.error
        await self._admission.allow(method, request, shown, context)
        return request, shown

    @asynccontextmanager
    async def _answered(self, method: str, context: Any) -> AsyncIterator[None]:
        """Give the call its id, refuse it if it cannot be served, and log how it ended."""
        name, current = name_of(method), id_of(context.invocation_metadata() or ())
        request_id.set(current)
        context.set_trailing_metadata(((REQUEST_ID_KEY, current),))
        structlog.contextvars.bind_contextvars(request_id=current, rpc=name)
        began, code = time.monotonic(), grpc.StatusCode.CANCELLED
        try:
            self._lifecycle.check()
            yield
            code = grpc.StatusCode.OK
        except AbortError:
            raise
        except RequestsCut:
            raise asyncio.CancelledError from None  # gRPC is about to cancel this call
        except Exception as error:
            known = error if is_known(error) else Internal(current)
            code = code_of(known)
            if known is not error:
                _log.error("defect", exc_info=error)
                self._metrics.failed(error)
            await self._abort(context, known, current)
        finally:
            self._metrics.call_ended(name, code)
            level = LEVELS.get(code, logging.INFO)
            if _threshold.isEnabledFor(level):  # checked first, as this runs for every call
                elapsed = round((time.monotonic() - began) * 1000, 2)
                _log.log(level, "call", code=code.name, milliseconds=elapsed)

    async def _abort(self, context: Any, error: Exception, current: str) -> None:
        status = status_of(error, current)
        await context.abort(
            code_of(error),
            status.message,
            trailing_metadata=(
                (DETAILS_KEY, status.SerializeToString()),
                (REQUEST_ID_KEY, current),
            ),
        )
