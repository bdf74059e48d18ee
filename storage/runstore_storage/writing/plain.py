"""Plain events on a remembered head: decided, hashed and laid out as columns.

It accepts what needs no thought. To everything else it says no, and nothing about the reason:
whatever may be a repeat or a refusal is decided by `run_write.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain as joined
from itertools import count, repeat
from typing import TypeVar

from runstore_storage import chain
from runstore_storage.contract.events import Appended, AppendResult, RecordedEvent
from runstore_storage.contract.heads import Guard
from runstore_storage.contract.plain_events import NO_ORIGIN
from runstore_storage.prepared_events import PreparedPlain
from runstore_storage.sql.appends import EventColumns
from runstore_storage.sql.heads import Head
from runstore_storage.writing.lanes import Append

T = TypeVar("T")

ORIGIN = ("node_id", "actor", "model", "tool", "trace_parent")


@dataclass(frozen=True, slots=True)
class PlainWrite:
    """What accepted appends add to a run, and how they leave it."""

    head: Head
    answers: Sequence[AppendResult]
    columns: EventColumns
    _appended: Sequence[PreparedPlain]

    def recorded(self) -> Iterator[RecordedEvent]:
        """The events with their places in the run."""
        events = joined.from_iterable(each.events for each in self._appended)
        salts = joined.from_iterable(each.salts for each in self._appended)
        answers = joined.from_iterable(self.answers)
        for event, salt, answer in zip(events, salts, answers, strict=True):
            yield RecordedEvent(answer.seq, answer.recorded_at, answer.hash, event, salt)


def plain_write(head: Head, given: Sequence[Append], now: datetime) -> PlainWrite | None:
    """Accept all of the appends to a run that is open and no fork; None if one needs a decision."""
    appended = [each.events for each in given if isinstance(each.events, PreparedPlain)]
    if len(appended) < len(given):
        return None
    ids = _joined([each.events.ids for each in appended])
    if len(given) > 1 and len(set(ids)) < len(ids):
        return None
    now = max(now, head.updated_at)  # as in `RunWrite`
    seq, link = head.last_seq, head.last_hash
    answers: list[AppendResult] = []
    for append, prepared in zip(given, appended, strict=True):
        if not _is_met(append.guard, head, seq):
            return None
        hashes = chain.links(link, seq + 1, now, prepared.body_hashes)
        fields = zip(
            prepared.events.ids, count(seq + 1), repeat(now), hashes, repeat(False), strict=False
        )
        answers.append(tuple(map(Appended._make, fields)))
        seq, link = seq + len(hashes), hashes[-1]
    seqs = list(range(head.last_seq + 1, seq + 1))
    texts = _joined([each.events.texts for each in appended])
    columns: EventColumns = {
        "run": [head.run] * len(ids),
        "seq": seqs,
        "event_id": ids,
        "type": _joined([each.events.types for each in appended]),
        "payload_json": texts,
        "payload_type": [None if text is None else "" for text in texts],
        "payload_bytes": _joined([each.sizes for each in appended]),
        "salt": _joined([each.salts for each in appended]),
        "body_hash": _joined([each.body_hashes for each in appended]),
        "hash": [each.hash for answer in answers for each in answer],
    }
    origins = _joined([each.events.origins for each in appended])
    if origins.count(NO_ORIGIN) < len(origins):
        columns |= zip(ORIGIN, map(list, zip(*origins, strict=True)), strict=True)
    return PlainWrite(head.grown(seq, link, now, None), answers, columns, appended)


def _is_met(guard: Guard, head: Head, last_seq: int) -> bool:
    return guard.writer_epoch in (None, head.writer_epoch) and guard.expected_seq in (
        None,
        last_seq,
    )


def _joined(lists: Sequence[Sequence[T]]) -> list[T]:
    return list(joined.from_iterable(lists))
