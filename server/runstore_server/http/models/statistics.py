"""Statistics."""

from __future__ import annotations

from pydantic import Field

from runstore_server.http.models.described import Described, PageToken
from runstore_server.http.models.events import UsageModel


class StatisticsRowModel(Described):
    """The counts of one group; it has only those keys that are grouped by."""

    run_id: str | None = None
    node_id: str | None = None
    model: str | None = None
    tool: str | None = None
    type: str | None = None
    day: str | None = Field(default=None, description="YYYY-MM-DD, in UTC.")
    label_value: str | None = None
    events: int
    errors: int = Field(description="Events whose type ends in the word error or failed.")
    tool_calls: int = Field(
        description="Events that name a tool, except those that report how a call ended."
    )
    runs: int = Field(description="Runs that have any of the events.")
    usage: UsageModel


class StatisticsAnswer(Described):
    """A page of groups."""

    rows: list[StatisticsRowModel]
    limit: int
    next_page_token: PageToken
    counted_position: int = Field(description="The feed is counted up to this position.")
