"""Hashes of events, and the links between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

from runstore_storage.chain.canonical import EMPTY, HASH_LENGTH, LENGTH, canonical, digest, field
from runstore_storage.chain.fields import (
    SALT_BYTES,
    Salt,
    payload_field,
    subject_fields,
    time_field,
    usage_field,
)
from runstore_storage.contract.events import Event, RecordedEvent
from runstore_storage.contract.plain_events import Origin, PlainEvents
from runstore_storage.contract.times import microseconds

_EVENT_1 = canonical("event")
_EVENT_2 = canonical("event/2")
_SEALED = canonical("sealed")
_JSON = canonical("json", "")
_JSON_BYTES = len(_JSON) + len(EMPTY)
_LINK = canonical("link") + HASH_LENGTH
_SALT_LENGTH = LENGTH(SALT_BYTES)


def event_hash(event: Event, salt: Salt = None) -> bytes:
    """Hash of a fact as its writer states it."""
    return _event_1(event) if salt is None else open_event_hash(event, sealed_hash(event, salt))


def sealed_hash(event: Event, salt: bytes) -> bytes:
    """Hash of what may be erased of an event."""
    return digest(
        "sealed",
        salt,
        payload_field(event.payload),
        event.actor,
        canonical(*event.tags),
        canonical(*event.subjects),
    )


def open_event_hash(event: Event, sealed: bytes) -> bytes:
    """`event_hash`, given the hash of what may be erased."""
    return digest(
        "event/2",
        event.event_id,
        event.type,
        event.node_id,
        event.model,
        event.tool,
        usage_field(event.usage),
        event.trace_parent,
        time_field(event.occurred_at),
        sealed,
    )


def recorded_hash(recorded: RecordedEvent) -> bytes:
    """`event_hash` of what was recorded. Of an event that was erased it is made of what is left,
    and of one of version 1 taken as it was: nothing of that can be told apart.
    """
    if recorded.erased is None:
        return event_hash(recorded.event, recorded.salt)
    _, sealed, body = recorded.erased
    return body if sealed is None else open_event_hash(recorded.event, sealed)


def _event_1(event: Event) -> bytes:
    return digest(
        "event",
        event.event_id,
        event.type,
        payload_field(event.payload),
        event.node_id,
        event.actor,
        event.model,
        event.tool,
        canonical(*event.tags),
        usage_field(event.usage),
        event.trace_parent,
        time_field(event.occurred_at),
        *subject_fields(event.subjects),
    )


def link_hash(previous: bytes, seq: int, recorded_at: datetime, body: bytes) -> bytes:
    """Hash of an event at its seq, bound to everything before it."""
    return digest("link", previous, seq, microseconds(recorded_at), body)


def plain_hashes(
    events: PlainEvents, contents: Sequence[bytes | None], salts: Sequence[Salt]
) -> list[bytes]:
    """`event_hash` of each event, whose JSON text has this content; in a third of the time."""
    return [
        _plain_1(event_id, type_, content, origin)
        if salt is None
        else _plain_2(event_id, type_, content, origin, salt)
        for event_id, type_, content, origin, salt in zip(
            events.ids, events.types, contents, events.origins, salts, strict=True
        )
    ]


def _plain_1(event_id: str, type_: str, content: bytes | None, origin: Origin) -> bytes:
    text = (
        _EVENT_1,
        field(event_id.encode()),
        _type(type_),
        EMPTY if content is None else _json_payload(content),
        _after_payload(*origin),
    )
    return sha256(b"".join(text)).digest()


def _plain_2(
    event_id: str, type_: str, content: bytes | None, origin: Origin, salt: bytes
) -> bytes:
    after_payload, after_type = _beside_sealed(*origin)
    payload = EMPTY if content is None else _json_payload(content)
    sealed = sha256(b"".join((_SEALED, _SALT_LENGTH, salt, payload, after_payload))).digest()
    text = (_EVENT_2, field(event_id.encode()), _type(type_), after_type, sealed)
    return sha256(b"".join(text)).digest()


def _json_payload(content: bytes) -> bytes:
    return LENGTH(_JSON_BYTES + len(content)) + _JSON + field(content)


@lru_cache(maxsize=1024)
def _type(name: str) -> bytes:
    return field(name.encode())


@lru_cache(maxsize=1024)
def _after_payload(node_id: str, actor: str, model: str, tool: str, trace_parent: str) -> bytes:
    """The fields of a plain event of version 1 behind its payload."""
    return canonical(node_id, actor, model, tool, "", "", trace_parent, "")


@lru_cache(maxsize=1024)
def _beside_sealed(
    node_id: str, actor: str, model: str, tool: str, trace_parent: str
) -> tuple[bytes, bytes]:
    """What is sealed of a plain event behind its payload, and its open fields behind its type."""
    is_open = canonical(node_id, model, tool, "", trace_parent, "")
    return canonical(actor, "", ""), is_open + HASH_LENGTH


def links(previous: bytes, seq: int, recorded_at: datetime, bodies: Iterable[bytes]) -> list[bytes]:
    """`link_hash` of events recorded at one time, the first at `seq`, each bound to the last."""
    at = canonical(microseconds(recorded_at)) + HASH_LENGTH
    found: list[bytes] = []
    for number, body in enumerate(bodies, seq):
        text = b"".join((_LINK, previous, field(b"%d" % number), at, body))
        previous = sha256(text).digest()
        found.append(previous)
    return found
