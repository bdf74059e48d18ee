"""Feed entries, made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from runstore_storage.contract.events import Event, RecordedEvent
from runstore_storage.contract.feed import FeedEntry

START = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


def entry(
    position: int = 1,
    *,
    project: str = "acme",
    run_id: str = "run",
    seq: int | None = None,
    event: Event | None = None,
    labels: dict[str, str] | None = None,
) -> FeedEntry:
    """An entry whose hash is its own and the same whenever it is made."""
    seq = position if seq is None else seq
    return FeedEntry(
        position=position,
        project=project,
        run_id=run_id,
        labels=labels or {},
        published_at=START + timedelta(milliseconds=position),
        recorded=RecordedEvent(
            seq=seq,
            recorded_at=START + timedelta(microseconds=position),
            hash=sha256(f"{project}\0{run_id}\0{seq}".encode()).digest(),
            event=event or Event(type="tool.called", event_id=f"e{seq}"),
        ),
    )


def interleaved(runs: int, events: int) -> list[FeedEntry]:
    """The entries of several runs with the same number of events, taking turns."""
    return [
        entry(run + runs * number + 1, run_id=f"run-{run}", seq=number + 1)
        for number in range(events)
        for run in range(runs)
    ]
