"""Entries of the feed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from runstore_server.http.models.described import Described
from runstore_server.http.models.events import EventModel


class EntryModel(Described):
    """A published event with its position in the feed."""

    position: Annotated[int, Field(ge=1, description="Greater than that of every entry before.")]
    run_id: str
    published_at: datetime
    event: EventModel


class EntryList(Described):
    """A page of the feed, in order of position."""

    entries: list[EntryModel]
    next_position: int = Field(description="Where the next page begins.")
    last_position: int = Field(
        description="The position of the project's newest entry, 0 if it has none;"
        " the end is reached where next_position is greater."
    )
