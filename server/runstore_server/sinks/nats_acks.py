"""JetStream's answers to publishes in flight, matched by their reply subjects.

nats-py's own asynchronous publishing never reports a refusal, and its synchronous one keeps waiting
when the connection is lost.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nats.aio.msg import Msg
from nats.js.api import Header

NO_RESPONDERS = "503"


@dataclass(frozen=True, slots=True)
class Ack:
    """One answer. `code` and `error_code` are 0 when the message is stored."""

    code: int = 0
    error_code: int = 0
    description: str = ""
    is_from_stream: bool = True


class LinkLost(Exception):
    """No answer will come."""


class Acks:
    """Waits for answers on subjects below its own inbox."""

    def __init__(self, inbox: str) -> None:
        self.subject = f"{inbox}.*"
        self._inbox = inbox
        self._last = 0
        self._waiting: dict[str, asyncio.Future[Ack]] = {}

    @contextmanager
    def expected(self) -> Iterator[tuple[str, asyncio.Future[Ack]]]:
        """A reply subject, and the future answer to it, which may raise `LinkLost`."""
        self._last += 1
        reply = f"{self._inbox}.{self._last}"
        answer = self._waiting[reply] = asyncio.get_running_loop().create_future()
        try:
            yield reply, answer
        finally:
            del self._waiting[reply]
            answer.cancel()

    async def take(self, message: Msg) -> None:
        """Resolve the future that waits for this answer; late answers are dropped."""
        answer = self._waiting.get(message.subject)
        if answer and not answer.done():
            answer.set_result(_read(message))

    def fail(self, reason: str) -> None:
        """Fail every answer that is waited for with `LinkLost`."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(LinkLost(reason))


def _read(message: Msg) -> Ack:
    if message.headers and message.headers.get(Header.STATUS.value) == NO_RESPONDERS:
        return Ack(code=503, description="no stream answers", is_from_stream=False)
    error = json.loads(message.data).get("error")
    if error is None:
        return Ack()
    return Ack(error["code"], error.get("err_code", 0), error.get("description", ""))
