"""Large payloads of events and outputs: kept as blobs, and put back where they are read.

Nobody above the store sees a difference. A payload is moved out before any lock is taken, and put
back after the rows were read, outside of any transaction. What is hashed and counted is the payload
as it was sent. A write that is refused may leave an object behind that no row names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256

from runstore_storage.contract.events import Event, RecordedEvent
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading
from runstore_storage.database.threads import run_in_thread_if_large
from runstore_storage.payloads.compression import DamagedContent, compress, decompress
from runstore_storage.payloads.objects import ObjectMissing, Objects, project_folder
from runstore_storage.run_write import PreparedEvent
from runstore_storage.sql import blobs
from runstore_storage.sql.blobs import NewBlob, StoredBlob
from runstore_storage.sql.columns import OffloadedPayload

DEFAULT_INLINE_BYTES = 1 << 20

Place = tuple[int, int]


class PayloadLost(Exception):
    """A blob is gone or damaged; nothing of ours does that."""


@dataclass(frozen=True, slots=True)
class LargePayloads:
    """Which payloads are moved out, and whether to the object store instead of a table."""

    inline_bytes: int = DEFAULT_INLINE_BYTES
    to_objects: bool = False


class Offloading:
    """Moves large payloads out and back."""

    def __init__(self, engine: Database, objects: Objects, rules: LargePayloads) -> None:
        self._engine = engine
        self._objects = objects
        self._rules = rules

    def is_large(self, payload: Payload | None) -> bool:
        """Whether a payload is to be moved out."""
        # Text has at least a byte a character, so few texts have to be encoded to be measured.
        most = self._rules.inline_bytes
        return payload is not None and len(payload.content) * 4 > most and len(payload.data) > most

    async def pack(self, key: RunKey, payload: Payload | None) -> NewBlob | None:
        """The blob of a large payload, its bytes put where they belong; None for another."""
        if payload is None or not self.is_large(payload):
            return None
        name, packed = await asyncio.to_thread(_packed, payload.data)
        location = None
        if self._rules.to_objects:
            location = f"{project_folder(key.project)}/payloads/{name.hex()}.zst"
            await self._objects.put(location, packed)
        return NewBlob(
            name,
            isinstance(payload.content, str),
            payload.content_type,
            len(payload.data),
            None if location else packed,
            location,
        )

    async def pack_events(
        self, key: RunKey, given: Sequence[PreparedEvent]
    ) -> tuple[PreparedEvent, ...]:
        """The events, those with large payloads with their blobs."""
        return tuple(
            [
                replace(each, blob=await self.pack(key, each.event.payload))
                if self.is_large(each.event.payload)
                else each
                for each in given
            ]
        )

    async def filled(
        self, recorded: Sequence[RecordedEvent], conn: Connection | None = None
    ) -> tuple[RecordedEvent, ...]:
        """The events with their payloads, wherever those are; read over `conn` where given."""
        wanted = {
            payload.place
            for each in recorded
            if isinstance(payload := each.event.payload, OffloadedPayload)
        }
        if not wanted:
            return tuple(recorded)
        contents = await self._contents(wanted, conn)
        return tuple(replace(each, event=_event(each.event, contents)) for each in recorded)

    async def unpack(self, payload: Payload | None) -> Payload | None:
        """One payload, wherever it is."""
        if not isinstance(payload, OffloadedPayload):
            return payload
        return payload.filled((await self._contents([payload.place]))[payload.place])

    async def _contents(
        self, wanted: Collection[Place], conn: Connection | None = None
    ) -> dict[Place, bytes]:
        async with nullcontext(conn) if conn else reading(self._engine) as used:
            found = await blobs.find_places(used, wanted)
        if lost := set(wanted) - found.keys():
            raise PayloadLost(lost)
        return {place: await self._content(stored) for place, stored in found.items()}

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


def _packed(data: bytes) -> tuple[bytes, bytes]:
    """The blob's name and its bytes.

    No snapshot part has such a name, nor can refer to it: theirs are 32 bytes, and always in the
    table.
    """
    return b"payload:" + sha256(data).digest(), compress(data)


def _event(event: Event, contents: dict[Place, bytes]) -> Event:
    payload = event.payload
    if not isinstance(payload, OffloadedPayload):
        return event
    return replace(event, payload=payload.filled(contents[payload.place]))
