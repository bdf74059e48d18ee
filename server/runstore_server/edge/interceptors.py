"""Around every RPC of ours: the request's id, its log line, metrics, its status when it fails."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc
import structlog
from grpc.aio import AbortError, ServerInterceptor

from runstore_server.edge.connections import OpenStreams
from runstore_server.edge.errors import Internal, code_of, is_known, status_of
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

OURS = "/runstore."
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
    """Wraps the RPCs of our services; of others (health, reflection), only their decoding."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        *,
        max_request_bytes: int,
        connection_streams: int,
        metrics: Metrics | None = None,
    ) -> None:
        self._lifecycle = lifecycle
        self._metrics = metrics or Metrics()
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
        if not method.startswith(OURS):
            return self._readable(handler)
        if method not in self._handlers:
            make, wrapped = self._wrapped(handler, method.rpartition("/")[2])
            # A stream is serialized here, so that its messages are not held while clients read.
            serialize = None if handler.response_streaming else handler.response_serializer
            self._handlers[method] = make(
                wrapped,
                request_deserializer=reader(handler.request_deserializer, self._max_request_bytes),
                response_serializer=serialize,
            )
        return self._handlers[method]

    def _readable(self, handler: Any) -> Any:
        """A handler of another service, which takes compressed messages as ours do."""
        decode, limit = handler.request_deserializer, self._max_request_bytes
        return handler._replace(request_deserializer=lambda data: decode(inflated(data, limit)))

    def _wrapped(self, handler: Any, name: str) -> tuple[Any, Any]:
        serialize = handler.response_serializer
        if handler.request_streaming and not handler.response_streaming:
            return grpc.stream_unary_rpc_method_handler, self._gathered(handler.stream_unary, name)
        if not handler.response_streaming:
            return grpc.unary_unary_rpc_method_handler, self._unary(handler.unary_unary, name)
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler, self._streamed(
                handler.stream_stream, name, serialize
            )
        return grpc.unary_stream_rpc_method_handler, self._streamed(
            handler.unary_stream, name, serialize
        )

    def _unary(self, behavior: Any, name: str) -> Any:
        async def call(sent: Any, context: Any) -> Any:
            request = await decoded(sent)
            async with self._answered(name, request, context):
                began = time.monotonic()
                response = await behavior(request, context)
                self._metrics.call_took(name, time.monotonic() - began)
                self._metrics.answered(response)
                return response

        return call

    def _gathered(self, behavior: Any, name: str) -> Any:
        async def call(requests: Any, context: Any) -> Any:
            async with self._answered(name, requests, context):
                with self._streams.opened(context.peer()):
                    return await behavior(all_messages(requests, context), context)

        return call

    def _streamed(self, behavior: Any, name: str, serialize: Callable[[Any], bytes]) -> Any:
        async def call(sent: Any, context: Any) -> AsyncIterator[bytes]:
            request = await decoded(sent)
            async with self._answered(name, request, context):
                with self._streams.opened(context.peer()), self._metrics.stream(name):
                    async with aclosing(behavior(request, context)) as responses:
                        async for response in responses:
                            self._metrics.answered(response)
                            data = [serialize(response)]
                            del response
                            yield data.pop()

        return call

    @asynccontextmanager
    async def _answered(self, name: str, request: Any, context: Any) -> AsyncIterator[None]:
        """Give the request its id, refuse it if it cannot be served, and log how it ended."""
        current = id_of(context.invocation_metadata() or ())
        request_id.set(current)
        context.set_trailing_metadata(((REQUEST_ID_KEY, current),))
        structlog.contextvars.bind_contextvars(
            request_id=current,
            rpc=name,
            project=getattr(request, "project", ""),
            run_id=getattr(request, "run_id", ""),
        )
        began, code = time.monotonic(), grpc.StatusCode.CANCELLED
        try:
            self._lifecycle.check()
            if isinstance(request, Unreadable):
                raise request.error
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
