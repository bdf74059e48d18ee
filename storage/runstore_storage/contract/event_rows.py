"""Recorded events as they were read: most pages are only passed on, field by field."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runstore_storage.contract.events import RecordedEvent
from runstore_storage.contract.on_demand import OnDemand

EventRow = Any
"""A sequence: run, seq, recorded_at, hash, event_id, type, node_id, actor, model, tool, tags,
trace_parent, occurred_at, the payload's JSON text, bytes, content type and size, None, the
subjects, the salt, what an `Erased` is made of, and the usage's input_tokens, output_tokens,
cached_input_tokens, cost_micros, duration_us.

`run` is the store's own number of the run. What an event does not have is None or empty. The zone
of `occurred_at` is UTC even where it has none: the driver leaves it out of the first and last times
there are.
"""
TEXTS = slice(5, 10)
TAGS = 10
PAYLOAD_BYTES = 16
SUBJECTS = 18


@dataclass(frozen=True, slots=True, eq=False)
class EventRows(OnDemand[RecordedEvent]):
    """A page's events in rows; it is a sequence of the same events for whom rows are of no use."""

    rows: Sequence[EventRow]
    _event_of: Callable[[EventRow], RecordedEvent]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as a list has none

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[RecordedEvent]:
        return map(self._event_of, self.rows)

    def made(self, at: int) -> RecordedEvent:
        """The event at a place."""
        return self._event_of(self.rows[at])
