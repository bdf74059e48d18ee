"""One connection to NATS with its stream at hand, used until it is lost."""

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
# Answers with this code or above tell of the server, those below of the message.
SERVER_TROUBLE = 500

_NAME_IN_USE = 10058
_MESSAGE_TOO_LARGE = 10054
_AWAY = (NatsError, OSError, TimeoutError)
_log = structlog.get_logger(__name__)


class LinkFailed(Exception):
    """There is no connection, or no stream that would store our subjects."""


class NatsLink:
    """A connection that never reconnects: whoever loses it opens another.

    While reconnecting, the client would hold publishes back and send them later, after they were
    reported undelivered. A link that is lost fails whatever waits for it at once.
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
        """True once nothing more can be published over it."""
        return bool(self._trouble) or self._client.is_closed

    @property
    def max_message_bytes(self) -> int:
        """The largest message, headers included, that the server takes."""
        return self._client.max_payload

    async def open(self) -> None:
        """Connect and make sure of the stream; raise `LinkFailed` within bounded time.

        When it raises, nothing is left open.
        """
        try:
            await self._connect()
            await self._make_sure_of_stream()
        except BaseException:
            await self.close()
            raise

    async def publish(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Return once the stream has stored the message; raise `Undelivered` otherwise.

        A publish that is not answered in time gives the link up.
        """
        if self._trouble:
            raise Undelivered(self._trouble, is_attempted=False)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                ack = await self._answer(subject, body, headers)
        except TimeoutError as error:
            self._give_up(f"NATS has not answered for {ANSWER_SECONDS:g} seconds")
            raise Undelivered(self._trouble) from error
        except (NatsError, OSError, LinkLost) as error:
            self._give_up(_said(error))
            raise Undelivered(self._trouble) from error
        if not ack.is_from_stream:
            # Gone since the link was opened; opening another makes sure of it.
            self._give_up(f"no stream answers for {subject}")
            raise Undelivered(self._trouble)
        if ack.code:
            raise Undelivered(
                f"the stream refuses: {ack.description}",
                is_refusal=ack.code < SERVER_TROUBLE,
                is_final=ack.error_code == _MESSAGE_TOO_LARGE,
            )

    async def close(self) -> None:
        """Give the connection back; what waits for it fails."""
        self._give_up("the connection is closed")
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._client.close()
        except _AWAY as error:
            _log.debug("nats connection left open", sink=self._settings.name, error=_said(error))

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
                    # Every server is tried, and none for ever.
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    ping_interval=20,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_disconnected,
                )
        except _AWAY as error:
            raise LinkFailed(f"NATS does not answer: {self._last_error or _said(error)}") from error

    async def _answer(self, subject: str, body: bytes, headers: Mapping[str, str]) -> Ack:
        with self._acks.expected() as (reply, answer):
            await self._client.publish(subject, body, reply=reply, headers=dict(headers))
            if self._trouble:  # lost while the message went out
                raise LinkLost(self._trouble)
            return await answer

    async def _make_sure_of_stream(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._client.subscribe(self._acks.subject, cb=self._acks.take)
                await self._check_stream()
        except _AWAY as error:
            raise LinkFailed(f"JetStream does not answer: {_said(error)}") from error

    async def _check_stream(self) -> None:
        name, prefix = self._settings.stream, self._settings.subject_prefix
        config = await self._config()
        if config is None and self._settings.create_stream:
            await self._create()
            config = await self._config()
        if config is None:
            raise LinkFailed(f"NATS has no stream {name}")
        if config.no_ack:
            raise LinkFailed(f"the stream {name} acknowledges nothing (no_ack)")
        subjects = config.subjects or []
        if not any(covers(subject, f"{prefix}.*.*.*") for subject in subjects):
            raise LinkFailed(
                f"the stream {name} stores {', '.join(subjects)} and not {prefix}.*.*.*"
            )

    async def _config(self) -> StreamConfig | None:
        """How the stream is set up; None when there is no such stream."""
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
            # Another server of ours may have made it first.
            if error.err_code != _NAME_IN_USE:
                raise LinkFailed(
                    f"the stream {settings.stream} cannot be made: {error.description}"
                ) from error
        else:
            _log.info("nats stream made", sink=settings.name, stream=settings.stream)

    def _give_up(self, trouble: str) -> None:
        """Note why the link is lost, the first time, and fail what waits for it."""
        self._trouble = self._trouble or trouble
        self._acks.fail(self._trouble)

    async def _on_error(self, error: Exception) -> None:
        self._last_error = _said(error)
        _log.info("nats error", sink=self._settings.name, error=self._last_error)

    async def _on_disconnected(self) -> None:
        if not self._trouble:
            _log.warning("nats connection lost", sink=self._settings.name)
        self._give_up("the connection to NATS was lost")


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
