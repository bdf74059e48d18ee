"""Streams as Server-Sent Events (the HTML standard's `text/event-stream`).

- An event is a message of the default type; its id is its seq or position, its data the event.
- `caught_up`, `end`, `draining` and `problem` are messages of those types. The id of `end` is
  "end", which is no seq: a client that comes back with it has seen everything.
- Silence is broken by comments. A block with an id but no data dispatches no message, but its id
  counts (the standard sets it before it looks at the data). So a client's progress is kept even
  where no event is selected.

sse-starlette is not used: its pings come from a second task that knows nothing of the loop's
progress, it splits data at every CR, and it learns of a shutdown from signal handlers and patches
of uvicorn, where this server's lifecycle says so directly.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Generic, Protocol, TypeVar

from runstore_storage.contract.errors import Overloaded
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from runstore_server.edge.errors import ServerDraining
from runstore_server.edge.metrics import Metrics
from runstore_server.edge.unread import Unread
from runstore_server.http.parameters.streams import LAST_EVENT_ID
from runstore_server.http.problems import problem_value
from runstore_server.http.responses import NO_STORE
from runstore_server.json.writing import JsonValue, written_without
from runstore_server.validation.bounds import MAX_INT64
from runstore_server.validation.requests import refuse

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

MEDIA_TYPE = "text/event-stream"
VARY = {"Vary": "Accept"}
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"} | VARY
END_ID = "end"
RETRY = "retry: 1000\n"
STREAM_KIND = "sse"


def no_more() -> Response:
    """Tell an EventSource that has seen the end not to come back: the standard's use of 204."""
    return Response(status_code=HTTPStatus.NO_CONTENT.value, headers=NO_STORE)


class Encoder(Protocol[T_contra]):
    """Turns the items of one kind of stream into text; knows the last id the client was sent."""

    def text(self, item: T_contra, /) -> str:
        """The item as blocks of the stream."""

    def draining(self) -> str:
        """The block that says where to continue at another server."""


class EventStream(StreamingResponse, Generic[T]):
    """The stream as a response; each block is awaited until the connection takes it.

    `first` was taken from `items` before, so that a refusal could still be a problem document.
    """

    def __init__(
        self,
        first: T,
        items: AsyncGenerator[T, None],
        encoder: Encoder[T],
        *,
        metrics: Metrics,
        unread: Unread,
    ) -> None:
        self._blocks = _counted(_blocks(first, items, encoder), unread)
        self._metrics = metrics
        super().__init__(self._blocks, media_type=MEDIA_TYPE, headers=HEADERS)

    async def stream_response(self, send: Send) -> None:
        # Closed here, not when it is collected: the run's tail is left when the connection ends.
        with self._metrics.stream(STREAM_KIND):
            async with aclosing(self._blocks):
                await super().stream_response(send)


async def _blocks(
    first: T, items: AsyncGenerator[T, None], encoder: Encoder[T]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(items):
        yield (RETRY + encoder.text(first)).encode()
        try:
            async for item in items:
                yield encoder.text(item).encode()
        except ServerDraining:
            yield (RETRY + encoder.draining()).encode()
        except Exception as error:
            yield _problem(error)


async def _counted(
    blocks: AsyncGenerator[bytes, None], unread: Unread
) -> AsyncGenerator[bytes, None]:
    """The blocks while there is room for what clients have not read; then a problem."""
    async with aclosing(blocks):
        try:
            async for block in blocks:
                async with unread.held(STREAM_KIND, len(block)):
                    yield block
        except Overloaded as error:
            yield _problem(error)


def _problem(error: Exception) -> bytes:
    return (RETRY + message("problem", problem_value(error))).encode()


def message(kind: str, value: Mapping[str, JsonValue]) -> str:
    """A block with a type."""
    return f"event: {kind}\n" + data(value)


def data(value: Mapping[str, JsonValue]) -> str:
    """Data in as many lines as the text has; the client joins them with LF.

    It would turn a CR into an LF as well, so the text has none.
    """
    lines = written_without("\r", value).split("\n")
    return "".join(f"data: {line}\n" for line in lines) + "\n"


def first_after(last_event_id: str) -> int:
    """The seq or position after the last one that a client has seen."""
    if not (last_event_id.isascii() and last_event_id.isdigit()):
        refuse(LAST_EVENT_ID, "is not the id of a message of this stream")
    last = int(last_event_id[:20])
    if last >= MAX_INT64:
        refuse(LAST_EVENT_ID, f"must be below {MAX_INT64}")
    return last + 1


def is_wanted(accept: str) -> bool:
    """Whether the header names the media type itself; a client that takes anything gets JSON."""
    kinds = (each.partition(";")[0].strip().lower() for each in accept.split(","))
    return MEDIA_TYPE in kinds
