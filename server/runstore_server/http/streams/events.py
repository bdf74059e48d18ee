"""A run's events as Server-Sent Events."""

from __future__ import annotations

from runstore_storage.contract.events import EventPage, RecordedEvent

from runstore_server.http.streams import sse
from runstore_server.json.events import event_value
from runstore_server.json.texts import enum_text
from runstore_server.streams.following import Item, Progress


class EventEncoder:
    """Items as text; knows the last seq that the client was sent as an id."""

    def __init__(self, from_seq: int) -> None:
        self._last_id = from_seq - 1

    def text(self, item: Item) -> str:
        page, last_id = item.page, self._last_id
        self._last_id = page.next_from_seq - 1
        progress = f"id: {self._last_id}\n" if self._last_id != last_id else ""
        match item.progress:
            case Progress.EVENTS:
                return self._events(page)
            case Progress.CAUGHT_UP:
                return progress + sse.message("caught_up", {"last_seq": page.last_seq})
            case Progress.HEARTBEAT:
                return f": heartbeat {page.last_seq}\n{progress}\n"
            case Progress.END_OF_RUN:
                end = {"last_seq": page.last_seq, "outcome": enum_text(page.outcome)}
                return f"id: {sse.END_ID}\n" + sse.message("end", end)

    def draining(self) -> str:
        return sse.message("draining", {"next_from_seq": self._last_id + 1})

    def _events(self, page: EventPage) -> str:
        self._last_id = page.events[-1].seq
        return "".join(_event(recorded) for recorded in page.events)


def _event(recorded: RecordedEvent) -> str:
    return f"id: {recorded.seq}\n" + sse.data(event_value(recorded))
