"""Events published to a NATS JetStream stream.

The events of a run are published one after the other, each once the stream has stored the one
before; those of different runs go side by side over one connection. So no failure and no
reconnection can store an event before its predecessor. An event that was stored but whose
acknowledgement was lost is published again, and JetStream drops it by `Nats-Msg-Id` within the
stream's duplicate window.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from nats.js.api import Header
from runstore_storage.contract.feed import FeedEntry

from runstore_server.sinks.cloud_events import CONTENT_TYPE, cloud_event, event_key
from runstore_server.sinks.nats_link import LinkFailed, NatsLink
from runstore_server.sinks.run_queues import deliver_in_run_queues
from runstore_server.sinks.settings import NatsSinkSettings
from runstore_server.sinks.sink import Undelivered
from runstore_server.sinks.subjects import MAX_SUBJECT_BYTES, subject_of

# Publishes in flight at once, each of another run.
CONCURRENCY = 256
_HEADER_FRAME_BYTES = len(b"NATS/1.0\r\n\r\n")
_HEADER_LINE_BYTES = len(b": \r\n")
_PRINTABLE = "!#$&'()*+,/:;<=>?@[\\]^`{|}"  # kept as they are in header values, beside letters


class JetStreamSink:
    """A `Sink` over NATS."""

    max_attempts: int | None = None

    def __init__(self, settings: NatsSinkSettings) -> None:
        self.name = settings.name
        self._settings = settings
        self._link: NatsLink | None = None
        self._opening = asyncio.Lock()

    async def deliver(self, entries: Sequence[FeedEntry]) -> list[Undelivered | None]:
        """See `Sink`."""
        try:
            link = await self._linked()
        except LinkFailed as error:
            return [Undelivered(str(error), is_attempted=False) for _ in entries]

        async def attempt(entry: FeedEntry) -> None:
            await self._publish(link, entry)

        return await deliver_in_run_queues(entries, attempt, concurrency=CONCURRENCY)

    async def close(self) -> None:
        """See `Sink`."""
        if self._link:
            await self._link.close()

    async def _linked(self) -> NatsLink:
        """The connection; a new one if the last was lost."""
        async with self._opening:
            if self._link and self._link.is_lost:
                await self._link.close()
                self._link = None
            if self._link is None:
                link = NatsLink(self._settings)
                await link.open()
                self._link = link
            return self._link

    async def _publish(self, link: NatsLink, entry: FeedEntry) -> None:
        subject = subject_of(self._settings.subject_prefix, entry)
        headers = _headers(entry, self._settings.stream)
        body = cloud_event(entry)
        _check_size("subject", len(subject.encode()), MAX_SUBJECT_BYTES)
        # The server closes the connection of a client that sends more.
        _check_size("message", _header_bytes(headers) + len(body), link.max_message_bytes)
        await link.publish(subject, body, headers)


def _headers(entry: FeedEntry, stream: str) -> dict[str, str]:
    """What receivers can use without parsing the body; texts are percent-encoded."""
    recorded = entry.recorded
    return {
        Header.MSG_ID.value: event_key(entry),
        Header.EXPECTED_STREAM.value: stream,
        "Content-Type": CONTENT_TYPE,
        "Runstore-Position": str(entry.position),
        "Runstore-Project": _header_text(entry.project),
        "Runstore-Run-Id": _header_text(entry.run_id),
        "Runstore-Seq": str(recorded.seq),
        "Runstore-Type": _header_text(recorded.event.type),
        "Runstore-Event-Id": _header_text(recorded.event.event_id),
        "Runstore-Recorded-At": recorded.recorded_at.isoformat().replace("+00:00", "Z"),
    }


def _header_text(text: str) -> str:
    return quote(text, safe=_PRINTABLE)


def _header_bytes(headers: Mapping[str, str]) -> int:
    lines = (len(name) + len(value) + _HEADER_LINE_BYTES for name, value in headers.items())
    return _HEADER_FRAME_BYTES + sum(lines)


def _check_size(what: str, size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise Undelivered(
            f"the {what} has {size_bytes} bytes, more than the {limit_bytes} that NATS accepts",
            is_refusal=True,
            is_final=True,
        )
