"""Opening the sink that settings describe."""

from __future__ import annotations

from runstore_server.sinks.jetstream import JetStreamSink
from runstore_server.sinks.settings import NatsSinkSettings, SinkSettings
from runstore_server.sinks.sink import Sink
from runstore_server.sinks.webhook import WebhookSink


def open_sink(settings: SinkSettings) -> Sink:
    """The sink that the settings describe. It connects on its first delivery."""
    if isinstance(settings, NatsSinkSettings):
        return JetStreamSink(settings)
    return WebhookSink(settings)
