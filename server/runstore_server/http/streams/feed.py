"""The feed as Server-Sent Events."""

from __future__ import annotations

from runstore_storage.contract.feed import FeedEntry

from runstore_server.http.streams import sse
from runstore_server.json.feed import entry_value
from runstore_server.streams.feed import FeedItem, Live, Silence


class FeedEncoder:
    """Items as text; knows the last position that the client was sent as an id."""

    def __init__(self, from_position: int) -> None:
        self._last_id = from_position - 1

    def text(self, item: FeedItem) -> str:
        if isinstance(item, Live | Silence):
            progress = f"id: {item.position}\n" if item.position != self._last_id else ""
            self._last_id = item.position
            if isinstance(item, Silence):
                return f": heartbeat {item.position}\n{progress}\n"
            return progress + sse.message("caught_up", {"position": item.position})
        self._last_id = item[-1].position
        return "".join(_entry(entry) for entry in item)

    def draining(self) -> str:
        return sse.message("draining", {"next_position": self._last_id + 1})


def _entry(entry: FeedEntry) -> str:
    return f"id: {entry.position}\n" + sse.data(entry_value(entry))
