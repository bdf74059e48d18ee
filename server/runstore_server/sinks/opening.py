"""From settings to a sink."""

from __future__ import annotations

from runstore_server.sinks.jetstream import JetStreamSink
from runstore_server.sinks.settings import NatsSinkSettings, SinkSettings
from runstore_server.sinks.sink import Sink
from runstore_server.sinks.webhook import WebhookSink


def open_sink(settings: SinkSettings) -> Sink:
    """The sink the settings describe. It connects when it first delivers."""
    if isinstance(settings, NatsSinkSettings):
        return JetStreamSink(settings)
    return WebhookSink(settings)
