"""Streams of a run's events: what can be asked of one, and what it delivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runstore.values.events import Event, FilterFields
from runstore.values.outputs import Outcome


class StreamFields(FilterFields, total=False):
    """The options of a stream other than its start; see `StreamQuery`."""

    wait_for_run: bool
    read_archive: bool
    heartbeat_seconds: float
    patience_seconds: float


@dataclass(frozen=True, slots=True)
class StreamQuery:
    """Which events of a run to stream, and how."""

    project: str
    run_id: str
    from_seq: int = 1
    follow: bool = False
    types: Sequence[str] = ()
    node_ids: Sequence[str] = ()
    tags: Sequence[str] = ()
    wait_for_run: bool = False
    read_archive: bool = False
    """Whether events that are archived are read from there; else they raise `EventsArchived`."""
    heartbeat_seconds: float = 10.0
    patience_seconds: float = 60.0
    """How long attempts may keep failing before an error is raised, counted from the first failure
    after a message."""

    @property
    def is_filtered(self) -> bool:
        return bool(self.types or self.node_ids or self.tags)


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Everything up to `last_seq` has been delivered; the stream is live from here."""

    last_seq: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The stream is alive; everything up to `last_seq` has been delivered."""

    last_seq: int


@dataclass(frozen=True, slots=True)
class EndOfRun:
    """The run is complete at `last_seq`; the stream ends."""

    last_seq: int
    outcome: Outcome


StreamItem = Event | CaughtUp | Heartbeat | EndOfRun
