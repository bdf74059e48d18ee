"""Events made ready before any lock is taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from runstore_storage import chain
from runstore_storage.contract.events import Event
from runstore_storage.ids import new_id
from runstore_storage.sql.blobs import NewBlob


@dataclass(frozen=True, slots=True)
class PreparedEvent:
    """An event with its id and hash settled."""

    event: Event
    body_hash: bytes
    blob: NewBlob | None = None
    """The blob that a large payload is kept as."""

    @property
    def bytes(self) -> int:
        """The size of the payload."""
        payload = self.event.payload
        return len(payload.data) if payload else 0


def prepare_event(event: Event) -> PreparedEvent:
    """Give the event an id if it lacks one, and hash it."""
    named = event if event.event_id else replace(event, event_id=new_id())
    return PreparedEvent(named, chain.event_hash(named))


def prepare_events(given: Iterable[Event]) -> tuple[PreparedEvent, ...]:
    """Prepare several events, in order."""
    return tuple(map(prepare_event, given))
