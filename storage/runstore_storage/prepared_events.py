"""Events made ready before any lock is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from runstore_storage import chain
from runstore_storage.chain import Salt
from runstore_storage.contract.events import Event
from runstore_storage.contract.on_demand import OnDemand
from runstore_storage.contract.plain_events import PlainEvents
from runstore_storage.ids import new_id
from runstore_storage.sql.blobs import NewBlob


@dataclass(frozen=True, slots=True)
class PreparedEvent:
    """An event with its id and hash settled."""

    event: Event
    salt: Salt
    body_hash: bytes
    blob: NewBlob | None = None
    """The blob that a large payload is kept as."""

    @property
    def bytes(self) -> int:
        """The size of the payload."""
        payload = self.event.payload
        return len(payload.data) if payload else 0


@dataclass(frozen=True, slots=True)
class PreparedPlain(OnDemand[PreparedEvent]):
    """Plain events with their hashes and the sizes of their payloads, as columns too."""

    events: PlainEvents
    salts: Sequence[Salt]
    body_hashes: Sequence[bytes]
    sizes: Sequence[int]

    def __len__(self) -> int:
        return len(self.sizes)

    def made(self, at: int) -> PreparedEvent:
        """The prepared event at a place."""
        return PreparedEvent(self.events[at], self.salts[at], self.body_hashes[at])


def prepare_event(event: Event, salt: Salt) -> PreparedEvent:
    """Give the event an id if it lacks one, and hash it."""
    named = event if event.event_id else replace(event, event_id=new_id())
    return PreparedEvent(named, salt, chain.event_hash(named, salt))


def prepare_events(given: Sequence[Event], salts: Sequence[Salt]) -> Sequence[PreparedEvent]:
    """Prepare several events, in order, each with its salt."""
    if isinstance(given, PlainEvents):
        contents = [None if text is None else text.encode() for text in given.texts]
        sizes = [len(content or b"") for content in contents]
        hashes = chain.plain_hashes(given, contents, salts)
        return PreparedPlain(given, salts, hashes, sizes)
    return tuple(map(prepare_event, given, salts))


def bytes_of(events: Sequence[PreparedEvent]) -> int:
    """The size of their payloads."""
    return sum(events.sizes) if isinstance(events, PreparedPlain) else sum(e.bytes for e in events)
