"""Offloading: large payloads of events and outputs are kept as blobs, apart from their rows.

Nothing above the store sees a difference. A payload is offloaded before any lock is taken, and
loaded after the rows were read, outside of any transaction. Hashes and sizes are those of the
payload as it was sent. A write that is refused may leave an object behind that no row names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256

from runstore_storage.contract.event_rows import EventRows
from runstore_storage.contract.events import Event, EventPage, RecordedEvent
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.scope import current_scope
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading
from runstore_storage.database.threads import run_in_thread_if_large
from runstore_storage.payloads.compression import DamagedContent, compress, decompress
from runstore_storage.payloads.objects import ObjectMissing, Objects, run_folder
from runstore_storage.prepared_events import PreparedEvent, PreparedPlain
from runstore_storage.sql import blobs, runs
from runstore_storage.sql.blobs import NewBlob, StoredBlob
from runstore_storage.sql.columns import OffloadedPayload

DEFAULT_INLINE_BYTES = 1 << 20

BlobKey = tuple[int, int]
"""A blob's run and number."""


class PayloadLost(Exception):
    """A payload's blob is missing or damaged; nothing in the store does that."""


@dataclass(frozen=True, slots=True)
class LargePayloads:
    """Which payloads are offloaded: those above `inline_bytes`, to a table or the object store."""

    inline_bytes: int = DEFAULT_INLINE_BYTES
    to_objects: bool = False


class Offloading:
    """Offloads large payloads, and loads offloaded ones."""

    def __init__(self, engine: Database, objects: Objects, rules: LargePayloads) -> None:
        self._engine = engine
        self._objects = objects
        self._rules = rules

    def is_large(self, payload: Payload | None) -> bool:
        """Whether a payload is to be offloaded."""
        # Text has at most four bytes a character, so few texts have to be encoded to be measured.
        most = self._rules.inline_bytes
        return payload is not None and len(payload.content) * 4 > most and len(payload.data) > most

    def has_large(self, events: Sequence[PreparedEvent]) -> bool:
        """Whether the payload of one of the events is to be offloaded."""
        if isinstance(events, PreparedPlain):
            return max(events.sizes) > self._rules.inline_bytes
        return any(self.is_large(each.event.payload) for each in events)

    async def offload(self, key: RunKey, payload: Payload | None) -> NewBlob | None:
        """The blob of a large payload, put among the objects of the scope's run of that id if it
        belongs there: no other run's payload is the same object.

        None for a payload that is not large. Nothing is put for a run that was deleted, as what is
        written to it is refused.
        """
        if payload is None or not self.is_large(payload):
            return None
        name, packed = await asyncio.to_thread(_blob, payload.data)
        location = None
        if self._rules.to_objects:
            own = RunKey(current_scope().project, key.run_id)
            location = f"{run_folder(own)}/payloads/{name.hex()}.zst"
            if not await self._was_deleted(own):
                await self._objects.put(location, packed)
        return NewBlob(
            name,
            isinstance(payload.content, str),
            payload.content_type,
            len(payload.data),
            None if location else packed,
            location,
        )

    async def _was_deleted(self, key: RunKey) -> bool:
        async with reading(self._engine) as conn:
            found = await runs.identity(conn, key)
        return found is not None and found.was_deleted

    async def offload_events(
        self, key: RunKey, given: Sequence[PreparedEvent]
    ) -> tuple[PreparedEvent, ...]:
        """The events of a run, those with large payloads with their blobs."""
        return tuple(
            [
                replace(each, blob=await self.offload(key, each.event.payload))
                if self.is_large(each.event.payload)
                else each
                for each in given
            ]
        )

    async def load_events(
        self,
        recorded: Sequence[RecordedEvent],
        conn: Connection | None = None,
        *,
        of_any_project: bool = False,
    ) -> tuple[RecordedEvent, ...]:
        """The events with their offloaded payloads; rows are read over `conn` if it is given."""
        wanted = {
            payload.blob
            for each in recorded
            if isinstance(payload := each.event.payload, OffloadedPayload)
        }
        if not wanted:
            return tuple(recorded)
        contents = await self._contents(wanted, conn, of_any_project=of_any_project)
        return tuple(replace(each, event=_with_payload(each.event, contents)) for each in recorded)

    async def load_page(self, page: EventPage) -> EventPage:
        """The page, its events with their offloaded payloads."""
        if isinstance(page.events, EventRows):
            return page
        return replace(page, events=await self.load_events(page.events))

    async def load(self, payload: Payload | None, conn: Connection | None = None) -> Payload | None:
        """The payload itself, whether it was offloaded or not; read over `conn` if it is given."""
        if not isinstance(payload, OffloadedPayload):
            return payload
        return payload.loaded((await self._contents([payload.blob], conn))[payload.blob])

    async def _contents(
        self,
        wanted: Collection[BlobKey],
        conn: Connection | None = None,
        *,
        of_any_project: bool = False,
    ) -> dict[BlobKey, bytes]:
        async with nullcontext(conn) if conn else reading(self._engine) as used:
            found = await blobs.locate(used, wanted, of_any_project=of_any_project)
        if lost := set(wanted) - found.keys():
            raise PayloadLost(lost)
        return {key: await self._content(stored) for key, stored in found.items()}

    async def _content(self, stored: StoredBlob) -> bytes:
        packed = stored.data
        try:
            if packed is None:
                pieces = self._objects.read_all(stored.location or "")
                packed = b"".join([piece async for piece in pieces])
            return await run_in_thread_if_large(
                max(len(packed), stored.raw_bytes), decompress, packed
            )
        except (ObjectMissing, DamagedContent) as error:
            raise PayloadLost(stored.location) from error


def _blob(content: bytes) -> tuple[bytes, bytes]:
    """The name of a payload's blob, and the blob's bytes.

    No snapshot part has such a name or can refer to one: their names are 32 bytes, and their blobs
    are always in the table.
    """
    return b"payload:" + sha256(content).digest(), compress(content)


def _with_payload(event: Event, contents: dict[BlobKey, bytes]) -> Event:
    payload = event.payload
    if not isinstance(payload, OffloadedPayload):
        return event
    return replace(event, payload=payload.loaded(contents[payload.blob]))
