"""One connection to NATS and its stream, used until it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from runstore_server.sinks.nats_acks import Ack, Acks, LinkLost
from runstore_server.sinks.settings import NatsSinkSettings
from runstore_server.sinks.sink import Undelivered
from runstore_server.sinks.subjects import covers

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 5.0
CLOSE_SECONDS = 2.0
# An answer with this code or above blames the server, one below it the message.
SERVER_FAULT = 500

_NAME_IN_USE = 10058
_MESSAGE_TOO_LARGE = 10054
_UNREACHABLE = (NatsError, OSError, TimeoutError)
_log = structlog.get_logger(__name__)


class LinkFailed(Exception):
    """There is no connection, or no stream that would store our subjects."""


class NatsLink:
    """A connection that never reconnects: once it is lost, another link is opened.

    A reconnecting client would hold publishes back and send them later, after they were reported
    undelivered. When the link is lost, everything that waits for it fails at once.
    """

    def __init__(self, settings: NatsSinkSettings) -> None:
        self._settings = settings
        self._client = Client()
        self._jetstream = JetStreamContext(self._client, timeout=ANSWER_SECONDS)
        self._acks = Acks(self._client.new_inbox())
        self._trouble = ""
        self._last_error = ""

    @property
    def is_lost(self) -> bool:
        """True once nothing can be published over it any more."""
        return bool(self._trouble) or self._client.is_closed

    @property
    def max_message_bytes(self) -> int:
        """The largest message, headers included, that the server accepts."""
        return self._client.max_payload

    async def open(self) -> None:
        """Connect and check or create the stream; raise `LinkFailed` within bounded time.

        When it raises, nothing is left open.
        """
        try:
            await self._connect()
            await self._ensure_stream()
        except BaseException:
            await self.close()
            raise

    async def publish(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Return once the stream has stored the message; raise `Undelivered` otherwise.

        A publish that is not answered in time ends the link.
        """
        if self._trouble:
            raise Undelivered(self._trouble, is_attempted=False)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                ack = await self._answer(subject, body, headers)
        except TimeoutError as error:
            self._give_up(f"NATS did not answer within {ANSWER_SECONDS:g} seconds")
            raise Undelivered(self._trouble) from error
        except (NatsError, OSError, LinkLost) as error:
            self._give_up(_text_of(error))
            raise Undelivered(self._trouble) from error
        if not ack.is_from_stream:
            # The stream is gone since the link was opened; opening another link checks for it.
            self._give_up(f"no stream answers for {subject}")
            raise Undelivered(self._trouble)
        if ack.code:
            raise Undelivered(
                f"the stream refused the event: {ack.description}",
                is_refusal=ack.code < SERVER_FAULT,
                is_final=ack.error_code == _MESSAGE_TOO_LARGE,
            )

    async def close(self) -> None:
        """Close the connection; everything that waits for it fails."""
        self._give_up("the connection is closed")
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._client.close()
        except _UNREACHABLE as error:
            _log.debug(
                "nats connection could not be closed",
                sink=self._settings.name,
                error=_text_of(error),
            )

    async def _connect(self) -> None:
        settings = self._settings
        credentials = settings.credentials
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._client.connect(
                    list(settings.servers),
                    name=f"runstore sink {settings.name}",
                    user_credentials=str(credentials) if credentials else None,
                    allow_reconnect=False,
                    # Every server is tried once.
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    ping_interval=20,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_disconnected,
                )
        except _UNREACHABLE as error:
            raise LinkFailed(
                f"NATS does not answer: {self._last_error or _text_of(error)}"
            ) from error

    async def _answer(self, subject: str, body: bytes, headers: Mapping[str, str]) -> Ack:
        with self._acks.expected() as (reply, answer):
            await self._client.publish(subject, body, reply=reply, headers=dict(headers))
            if self._trouble:  # lost while the message was being sent
                raise LinkLost(self._trouble)
            return await answer

    async def _ensure_stream(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._client.subscribe(self._acks.subject, cb=self._acks.take)
                await self._check_stream()
        except _UNREACHABLE as error:
            raise LinkFailed(f"JetStream does not answer: {_text_of(error)}") from error

    async def _check_stream(self) -> None:
        name, prefix = self._settings.stream, self._settings.subject_prefix
        config = await self._config()
        if config is None and self._settings.create_stream:
            await self._create()
            config = await self._config()
        if config is None:
            raise LinkFailed(f"NATS has no stream {name}")
        if config.no_ack:
            raise LinkFailed(f"the stream {name} does not acknowledge messages (no_ack)")
        subjects = config.subjects or []
        if not any(covers(subject, f"{prefix}.*.*.*") for subject in subjects):
            raise LinkFailed(
                f"the stream {name} stores {', '.join(subjects)} but not {prefix}.*.*.*"
            )

    async def _config(self) -> StreamConfig | None:
        """The stream's configuration; None when there is no such stream."""
        try:
            return (await self._jetstream.stream_info(self._settings.stream)).config
        except NotFoundError:
            return None

    async def _create(self) -> None:
        settings = self._settings
        config = StreamConfig(
            name=settings.stream,
            subjects=[f"{settings.subject_prefix}.>"],
            storage=StorageType.FILE,
            duplicate_window=settings.duplicate_window_seconds,
        )
        try:
            await self._jetstream.add_stream(config)
        except APIError as error:
            # Another process of ours may have created it first.
            if error.err_code != _NAME_IN_USE:
                raise LinkFailed(
                    f"the stream {settings.stream} cannot be created: {error.description}"
                ) from error
        else:
            _log.info("nats stream created", sink=settings.name, stream=settings.stream)

    def _give_up(self, trouble: str) -> None:
        """Remember the first reason why the link is lost, and fail everything that waits for it."""
        self._trouble = self._trouble or trouble
        self._acks.fail(self._trouble)

    async def _on_error(self, error: Exception) -> None:
        self._last_error = _text_of(error)
        _log.info("nats error", sink=self._settings.name, error=self._last_error)

    async def _on_disconnected(self) -> None:
        if not self._trouble:
            _log.warning("nats connection lost", sink=self._settings.name)
        self._give_up("the connection to NATS was lost")


def _text_of(error: Exception) -> str:
    return str(error) or type(error).__name__
