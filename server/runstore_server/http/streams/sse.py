"""What is followed, as Server-Sent Events (the HTML standard's `text/event-stream`).

- An event is a message of the default type; its id is its place, its data the event.
- `caught_up`, `end`, `draining` and `problem` are messages of those types. `end` has the id "end",
  which no place is: who comes back with it has seen everything.
- Silence is broken by comments. A block that has an id but no data is dispatched to nobody, but the
  id counts (the standard sets it before it looks at the data): so progress is kept where no event
  is selected.

sse-starlette is not used: its pings come from a second task that knows nothing of the loop's
progress, it splits data at every CR, and it finds a server's end through signal handlers and
patches of uvicorn, while this server's lifecycle says it directly.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Generic, Protocol, TypeVar

from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from runstore_server.edge.errors import ServerDraining
from runstore_server.edge.metrics import Metrics
from runstore_server.http.problems import problem_value
from runstore_server.http.responses import NO_STORE
from runstore_server.json.writing import JsonValue, written_without
from runstore_server.validation.bounds import MAX_INT64
from runstore_server.validation.requests import refuse

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", "Vary": "Accept"}
END_ID = "end"
RETRY = "retry: 1000\n"
STREAM_KIND = "sse"
LAST_EVENT_ID = "Last-Event-ID"


def no_more() -> Response:
    """Tells an EventSource that has seen the end not to come back: the standard's use of 204."""
    return Response(status_code=HTTPStatus.NO_CONTENT.value, headers=NO_STORE)


class Encoder(Protocol[T_contra]):
    """What one kind of stream makes of its items; it knows what the client was told last."""

    def text(self, item: T_contra, /) -> str:
        """The item as blocks of the stream."""

    def draining(self) -> str:
        """The block that says where to go on at another server."""


class EventStream(StreamingResponse, Generic[T]):
    """The stream as a response; each block is awaited until the connection takes it.

    `first` was taken from `items` before, so that a refusal could still be a problem.
    """

    def __init__(
        self, first: T, items: AsyncGenerator[T, None], encoder: Encoder[T], metrics: Metrics
    ) -> None:
        self._blocks = _blocks(first, items, encoder)
        self._metrics = metrics
        super().__init__(self._blocks, media_type=MEDIA_TYPE, headers=HEADERS)

    async def stream_response(self, send: Send) -> None:
        # Closed here and not when it is collected: the run's tail is left with the connection.
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
            yield (RETRY + message("problem", problem_value(error))).encode()


def message(kind: str, value: Mapping[str, JsonValue]) -> str:
    """A block of a type of its own."""
    return f"event: {kind}\n" + data(value)


def data(value: Mapping[str, JsonValue]) -> str:
    """Data in as many lines as the text has; the client joins them with LF again.

    It would make an LF of a CR too, so the text has none.
    """
    lines = written_without("\r", value).split("\n")
    return "".join(f"data: {line}\n" for line in lines) + "\n"


def place_after(last_event_id: str) -> int:
    """The place behind the one a client has seen last."""
    if not (last_event_id.isascii() and last_event_id.isdigit()):
        refuse(LAST_EVENT_ID, "is not the id of a message of this stream")
    place = int(last_event_id[:20])
    if place >= MAX_INT64:
        refuse(LAST_EVENT_ID, f"must be below {MAX_INT64}")
    return place + 1


def is_wanted(accept: str) -> bool:
    """Whether the header names the media type itself: who takes anything gets JSON."""
    kinds = (each.partition(";")[0].strip().lower() for each in accept.split(","))
    return MEDIA_TYPE in kinds
