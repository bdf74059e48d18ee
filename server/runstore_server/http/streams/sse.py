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
from typing import Protocol, TypeVar

from runstore_storage.contract.errors import Overloaded
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from runstore_server.edge.errors import ServerDraining
from runstore_server.edge.metrics import Metrics
from runstore_server.edge.unread import SMALL_BYTES
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
START = "http.response.start"
BODY = "http.response.body"


def no_more() -> Response:
    """Tell an EventSource that has seen the end not to come back: the standard's use of 204."""
    return Response(status_code=HTTPStatus.NO_CONTENT.value, headers=NO_STORE)


class Encoder(Protocol[T_contra]):
    """Turns the items of one kind of stream into text; knows the last id the client was sent."""

    def text(self, item: T_contra, /) -> str:
        """The item as blocks of the stream."""

    def draining(self) -> str:
        """The block that says where to continue at another server."""


class EventStream(StreamingResponse):
    """The stream as a response; a block counts as sent when the connection has passed it on."""

    def __init__(self, blocks: AsyncGenerator[bytes, None], metrics: Metrics) -> None:
        self._blocks = blocks
        self._metrics = metrics
        super().__init__(blocks, media_type=MEDIA_TYPE, headers=HEADERS)

    async def stream_response(self, send: Send) -> None:
        await send(
            {"type": START, "status": self.status_code, "headers": self.raw_headers},
        )
        # Closed here, not when it is collected: the run's tail is left when the connection ends.
        with self._metrics.stream(STREAM_KIND):
            async with aclosing(self._blocks) as blocks:
                async for block in blocks:
                    is_large = len(block) > SMALL_BYTES
                    await send({"type": BODY, "body": block, "more_body": True})
                    del block  # not held while the client reads
                    if is_large:
                        # Returns when the connection no longer buffers the block.
                        await send({"type": BODY, "body": b"", "more_body": True})
        await send({"type": BODY, "body": b"", "more_body": False})


async def event_stream(
    items: AsyncGenerator[T, None], encoder: Encoder[T], metrics: Metrics
) -> EventStream:
    """The items as a response.

    A refusal of the first item is raised, so that it is a problem document; but a lack of room is
    told in the stream, as an EventSource comes back only to a stream.
    """
    try:
        begin = (RETRY + encoder.text(await anext(items))).encode()
    except Overloaded as error:
        begin = _problem(error)
    return EventStream(_blocks([begin], items, encoder), metrics)


async def _blocks(
    made: list[bytes], items: AsyncGenerator[T, None], encoder: Encoder[T]
) -> AsyncGenerator[bytes, None]:
    """What is made, then the items as blocks, none of which is held while it is sent."""
    async with aclosing(items):
        yield made.pop()
        try:
            async for item in items:
                made.append(encoder.text(item).encode())
                del item
                yield made.pop()
        except ServerDraining:
            yield (RETRY + encoder.draining()).encode()
        except Exception as error:
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
