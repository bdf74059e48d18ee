"""Events and usage."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from runstore_server.http.models.described import Described, Hash, Salt, Seq
from runstore_server.http.models.payloads import PayloadModel


class UsageModel(Described):
    """What an event used, or the sum over several."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cost_micros: int = Field(description="Millionths of a US dollar.")
    duration_us: int = Field(description="Microseconds.")


class EventModel(Described):
    """A recorded event."""

    seq: Seq
    event_id: str
    type: str
    payload: PayloadModel | None
    node_id: str
    actor: str
    model: str
    tool: str
    tags: list[str]
    usage: UsageModel | None
    trace_parent: str
    occurred_at: datetime | None
    recorded_at: datetime
    hash: Hash
    subjects: list[str] = Field(description="Whom the event is about.")
    salt: Salt
    sealed: Hash | None = Field(
        description="The hash of what the event said, once that was erased; null before, and of"
        " events without salts."
    )
    erased_at: datetime | None = Field(
        description="When what the event said was erased; null if it was not."
    )


class EventList(Described):
    """A page of events, in order of seq."""

    events: list[EventModel]
    next_from_seq: int | None = Field(
        description="Where the next page begins; null on the last one."
    )
    last_seq: Seq
