"""A reader of Server-Sent Events that does what the HTML standard says, and shows what it saw."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

_LINE_END = re.compile("\r\n|\n|\r")
AS_STREAM = {"Accept": "text/event-stream"}


@dataclass(frozen=True)
class Message:
    """What is dispatched to a page."""

    type: str
    data: str
    last_event_id: str

    @property
    def value(self) -> Any:
        return json.loads(self.data)


@dataclass
class Parser:
    """Bytes in, messages out; `last_event_id` is what a reconnect would send."""

    last_event_id: str = ""
    retry: int | None = None
    comments: list[str] = field(default_factory=list)
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=codecs.getincrementaldecoder("utf-8")
    )
    _rest: str = ""
    _id: str = ""
    _type: str = ""
    _data: list[str] = field(default_factory=list)

    def feed(self, data: bytes) -> list[Message]:
        text = self._rest + self._decoder.decode(data)
        kept = "\r" if text.endswith("\r") else ""  # may be half of a CRLF
        *lines, rest = _LINE_END.split(text.removesuffix("\r"))
        self._rest = rest + kept
        return [message for line in lines if (message := self._line(line))]

    def _line(self, line: str) -> Message | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments.append(value)
            case "data":
                self._data.append(value)
            case "event":
                self._type = value
            case "id":
                self._id = value
            case "retry":
                self.retry = int(value)
        return None

    def _dispatch(self) -> Message | None:
        # The standard sets the last event id first, also for a block that has no data.
        self.last_event_id = self._id or self.last_event_id
        data, kind, self._data, self._type = self._data, self._type, [], ""
        return Message(kind or "message", "\n".join(data), self.last_event_id) if data else None


class Stream:
    """An open stream."""

    def __init__(self, response: httpx.Response, parser: Parser) -> None:
        self.response = response
        self.parser = parser
        self._messages = self._read()

    async def _read(self) -> AsyncIterator[Message]:
        async for data in self.response.aiter_raw():
            for message in self.parser.feed(data):
                yield message

    async def next(self) -> Message:
        return await anext(self._messages)

    async def rest(self) -> list[Message]:
        return [message async for message in self._messages]

    async def until(self, kind: str) -> list[Message]:
        """What comes up to the first message of the type, which is the last."""
        seen = [await self.next()]
        while seen[-1].type != kind:
            seen.append(await self.next())
        return seen


@asynccontextmanager
async def opened(
    http: httpx.AsyncClient, path: str, last_event_id: str = "", **query: Any
) -> AsyncIterator[Stream]:
    headers = AS_STREAM | ({"Last-Event-ID": last_event_id} if last_event_id else {})
    async with http.stream("GET", path, headers=headers, params=query) as response:
        if response.status_code != 200:
            await response.aread()
        yield Stream(response, Parser(last_event_id=last_event_id))


def shown(messages: list[Message]) -> list[int | str]:
    """Seqs of events, types of marks."""
    return [
        message.value["seq"] if message.type == "message" else message.type for message in messages
    ]
