"""What is followed, as Server-Sent Events (the HTML standard's `text/event-stream`).

- An event of the run is a message of the default type; its id is the seq, its data the event.
- `caught_up`, `end`, `draining` and `problem` are messages of those types. `end` has the id "end",
  which no seq is: who comes back with it has seen everything.
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

from runstore_storage.records import EventPage, RecordedEvent
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from runstore_server.errors import ServerDraining
from runstore_server.following import Item, Mark
from runstore_server.http.convert.events import event_value
from runstore_server.http.convert.outputs import outcome_name
from runstore_server.http.convert.payloads import line_safe_payload_value
from runstore_server.http.json_writer import NO_STORE, JsonValue, written
from runstore_server.http.problems import problem_value
from runstore_server.metrics import Metrics

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", "Vary": "Accept"}
END_ID = "end"
RETRY = "retry: 1000\n"
STREAM_KIND = "sse"


def no_more() -> Response:
    """Tells an EventSource that has seen the end not to come back: the standard's use of 204."""
    return Response(status_code=HTTPStatus.NO_CONTENT.value, headers=NO_STORE)


class EventStream(StreamingResponse):
    """The stream as a response; each block is awaited until the connection takes it.

    `first` was taken from `items` before, so that a refusal could still be a problem.
    """

    def __init__(
        self, first: Item, items: AsyncGenerator[Item, None], from_seq: int, metrics: Metrics
    ) -> None:
        self._blocks = _blocks(first, items, _Encoder(from_seq))
        self._metrics = metrics
        super().__init__(self._blocks, media_type=MEDIA_TYPE, headers=HEADERS)

    async def stream_response(self, send: Send) -> None:
        # Closed here and not when it is collected: the run's tail is left with the connection.
        with self._metrics.stream(STREAM_KIND):
            async with aclosing(self._blocks):
                await super().stream_response(send)


async def _blocks(
    first: Item, items: AsyncGenerator[Item, None], encoder: _Encoder
) -> AsyncGenerator[bytes, None]:
    async with aclosing(items):
        yield (RETRY + encoder.text(first)).encode()
        try:
            async for item in items:
                yield encoder.text(item).encode()
        except ServerDraining:
            yield (RETRY + encoder.draining()).encode()
        except Exception as error:
            yield (RETRY + _message("problem", problem_value(error))).encode()


class _Encoder:
    """Items as text, and which seq the client was last told as id."""

    def __init__(self, from_seq: int) -> None:
        self._told = from_seq - 1

    def text(self, item: Item) -> str:
        page, told = item.page, self._told
        self._told = page.next_from_seq - 1
        progress = f"id: {self._told}\n" if self._told != told else ""
        match item.mark:
            case Mark.EVENTS:
                return self._events(page)
            case Mark.CAUGHT_UP:
                return progress + _message("caught_up", {"last_seq": page.last_seq})
            case Mark.HEARTBEAT:
                return f": heartbeat {page.last_seq}\n{progress}\n"
            case Mark.END_OF_RUN:
                outcome = outcome_name(page.outcome)
                end = {"last_seq": page.last_seq, "outcome": outcome}
                return f"id: {END_ID}\n" + _message("end", end)

    def draining(self) -> str:
        return _message("draining", {"next_from_seq": self._told + 1})

    def _events(self, page: EventPage) -> str:
        self._told = page.events[-1].seq
        return "".join(_event(recorded) for recorded in page.events)


def _event(recorded: RecordedEvent) -> str:
    return f"id: {recorded.seq}\n" + _data(event_value(recorded, line_safe_payload_value))


def _message(kind: str, value: Mapping[str, JsonValue]) -> str:
    return f"event: {kind}\n" + _data(value)


def _data(value: Mapping[str, JsonValue]) -> str:
    """Data in as many lines as the text has; the client joins them with LF again."""
    return "".join(f"data: {line}\n" for line in written(value).split("\n")) + "\n"
