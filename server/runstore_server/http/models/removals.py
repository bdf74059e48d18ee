"""Removals."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from runstore_server.http.models.described import Described, Hash, PageToken


class RemovalModel(Described):
    """What was removed, in numbers and hashes, and how far that has come."""

    removal_id: str
    kind: Literal["run", "events", "snapshots", "artifacts", "search_text", "events_erased"]
    state: Literal["removing", "done", "stopped"] = Field(
        description="How far it has come; of one that is stopped, the rest stays."
    )
    birth: Hash
    first_seq: int = Field(description="The first event that is removed; 0 if there was none.")
    last_seq: int = Field(description="The last event that is removed; 0 if there was none.")
    record: int = Field(description="The number of the record that says who asked for it, and why.")
    at: datetime = Field(
        description="When it was decided: from then on a run could no longer be read."
    )
    removed_events: int = Field(description="How many events are gone so far.")
    done_at: datetime | None = Field(
        description="When all of it was gone, or the rest was left; null before that."
    )


class RemovalList(Described):
    """A page of removals, newest first."""

    removals: list[RemovalModel]
    limit: int
    next_page_token: PageToken
