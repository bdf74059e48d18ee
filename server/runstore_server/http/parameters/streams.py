"""Parameters of streams."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header

from runstore_server.http.parameters.queries import seconds
from runstore_server.validation.bounds import HEARTBEAT

LAST_EVENT_ID = "Last-Event-ID"

Accept = Annotated[
    str, Header(description="`text/event-stream` asks for a stream.", include_in_schema=False)
]
LastEventId = Annotated[
    str,
    Header(
        description="Streams only: the id of the last message seen; the stream begins after it.",
    ),
]
Heartbeat = Annotated[
    float | None, seconds(HEARTBEAT, "Streams only: the longest silence, in seconds.")
]
