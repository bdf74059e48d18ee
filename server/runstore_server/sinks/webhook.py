"""Events posted to an HTTP endpoint, one in each request.

A 2xx status is the receipt, whatever happens to the response's body. Any other outcome leaves the
event undelivered; redirects are not followed. 4xx and 3xx are refusals, except 408, 425 and 429.
When 429 or 503 comes with Retry-After, nothing is sent to the endpoint until that time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import httpx
from runstore_storage.contract.feed import FeedEntry

from runstore_server.sinks.backoff import retry_after_seconds
from runstore_server.sinks.cloud_events import CONTENT_TYPE, cloud_event, event_key
from runstore_server.sinks.run_queues import deliver_in_run_queues
from runstore_server.sinks.settings import WebhookSinkSettings
from runstore_server.sinks.signing import signature_headers, signing_key
from runstore_server.sinks.sink import Undelivered

MAX_ANSWER_BYTES = 4096
MAX_QUOTED_CHARACTERS = 200
_RETRY_LATER = frozenset({429, 503})
_NOT_REFUSALS = frozenset({408, 425, 429})


class WebhookSink:
    """A `Sink` over HTTP."""

    def __init__(self, settings: WebhookSinkSettings) -> None:
        self.name = settings.name
        self.max_attempts: int | None = settings.max_attempts
        self._url = str(settings.url)
        self._timeout = settings.timeout_seconds
        self._concurrency = settings.concurrency
        secret = settings.secret
        self._key = signing_key(secret.get_secret_value()) if secret else None
        self._quiet_until = 0.0  # on the loop's clock
        self._client = httpx.AsyncClient(
            headers={
                "user-agent": "runstore",
                **{name: value.get_secret_value() for name, value in settings.headers.items()},
                "accept-encoding": "identity",
                "content-type": CONTENT_TYPE,
            },
            limits=httpx.Limits(max_connections=settings.concurrency),
            timeout=None,  # noqa: S113 - each try is bounded as a whole
        )

    async def deliver(self, entries: Sequence[FeedEntry]) -> list[Undelivered | None]:
        """See `Sink`."""
        return await deliver_in_run_queues(entries, self._post, concurrency=self._concurrency)

    async def close(self) -> None:
        """See `Sink`."""
        await self._client.aclose()

    async def _post(self, entry: FeedEntry) -> None:
        self._hold_back_while_quiet()
        body = cloud_event(entry)
        request = self._client.build_request(
            "POST", self._url, content=body, headers=self._headers(entry, body)
        )
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._client.send(request, stream=True)
        except TimeoutError as error:
            raise Undelivered(f"no answer within {self._timeout:g} seconds") from error
        except httpx.HTTPError as error:
            raise Undelivered(f"no answer: {type(error).__name__} {error}".rstrip()) from error
        answer = await _beginning(response, deadline)
        if not response.is_success:
            raise self._undelivered(response, answer)

    def _headers(self, entry: FeedEntry, body: bytes) -> dict[str, str]:
        if self._key is None:
            return {"webhook-id": event_key(entry)}
        return signature_headers(self._key, event_key(entry), int(time.time()), body)

    def _hold_back_while_quiet(self) -> None:
        left = self._quiet_until - asyncio.get_running_loop().time()
        if left > 0:
            raise Undelivered(
                "the endpoint asked to be retried later", retry_after=left, is_attempted=False
            )

    def _undelivered(self, response: httpx.Response, answer: str) -> Undelivered:
        status = response.status_code
        retry_after = None
        if status in _RETRY_LATER:
            retry_after = retry_after_seconds(
                response.headers.get("retry-after"), datetime.now(UTC)
            )
        if retry_after:
            self._quiet_until = asyncio.get_running_loop().time() + retry_after
        return Undelivered(
            f"answered {status}" + (f": {answer}" if answer else ""),
            retry_after=retry_after,
            is_refusal=status in range(300, 500) and status not in _NOT_REFUSALS,
        )


async def _beginning(response: httpx.Response, deadline: float) -> str:
    """Read a small response to its end, so that the connection can be reused; return its start.

    The rest of a larger or slower one is not read, and the connection is closed.
    """
    found = bytearray()
    try:
        with suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout_at(deadline):
                async for chunk in response.aiter_raw():
                    found += chunk
                    if len(found) > MAX_ANSWER_BYTES:
                        break
    finally:
        await response.aclose()
    text = found[:MAX_ANSWER_BYTES].decode(errors="replace")
    return " ".join(text.split())[:MAX_QUOTED_CHARACTERS]
