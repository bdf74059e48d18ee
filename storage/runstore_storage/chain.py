"""Hashes: what they cover, in which order, in which bytes.

A canonical text is a list of fields, each written as its length in bytes (unsigned 64-bit,
big-endian) followed by its bytes. Strings are UTF-8, integers are decimal ASCII, an absent value is
the empty field, a list is one field holding its own canonical text. The first field names what is
hashed, so that different kinds never share a hash.

    body  = SHA-256("event", event_id, type, payload, node_id, actor, model, tool, tags, usage,
                    trace_parent, occurred_at)
    hash  = SHA-256("link", previous hash, seq, recorded_at, body)
    birth = SHA-256("run", project, run_id, plan_id, objective, plan, parent_run_id, external_ref,
                    config_refs, tags, labels)
    config = SHA-256("config", kind, content_type, content)

The first event's previous hash is the run's `birth`. A fork's history begins with the other run's;
the previous hash of the first event of its own is

    fork  = SHA-256("fork", previous hash, birth)

where the previous hash is what the other run's next event would have had. The birth of a fork ends
with two more fields: the other run's run_id and seq. A payload is the list (kind, content_type,
content), kind being "json" or "binary"; times and durations are microseconds (since 1970 UTC).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

from runstore_storage.contract.configs import ConfigRef
from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload, Ref, SnapshotPart
from runstore_storage.contract.plain_events import PlainEvents
from runstore_storage.contract.runs import ExternalRef, NewFork, NewRun
from runstore_storage.contract.snapshots import PlanNode, Snapshot, TaskWrite
from runstore_storage.contract.times import microseconds

_LENGTH = struct.Struct(">Q").pack
_EMPTY = _LENGTH(0)

Field = str | bytes | int


def canonical(*fields: Field) -> bytes:
    """The fields' canonical text."""
    out: list[bytes] = []
    for value in fields:
        if isinstance(value, str):
            data = value.encode()
        elif isinstance(value, bytes):
            data = value
        else:
            data = b"%d" % value
        out += (_LENGTH(len(data)), data) if data else (_EMPTY,)
    return b"".join(out)


def digest(*fields: Field) -> bytes:
    """SHA-256 of the fields' canonical text."""
    return sha256(canonical(*fields)).digest()


def _field(data: bytes) -> bytes:
    return _LENGTH(len(data)) + data


_EVENT = canonical("event")
_JSON = canonical("json", "")
_JSON_BYTES = len(_JSON) + len(_EMPTY)
_HASH_LENGTH = _LENGTH(sha256().digest_size)
_LINK = canonical("link") + _HASH_LENGTH


def birth_hash(new: NewRun) -> bytes:
    """Hash of a run as it is born, without its completion; its config refs are pins."""
    base = new.fork_base
    return digest(
        "run",
        new.project,
        new.run_id,
        new.plan_id,
        new.objective,
        _payload(new.plan),
        new.parent_run_id,
        _external_ref(new.external_ref),
        canonical(*map(_config_ref, new.config_refs)),
        canonical(*new.tags),
        canonical(*_pairs(new.labels)),
        *((base.run_id, base.seq) if base else ()),
    )


def fork_hash(previous: bytes, birth: bytes) -> bytes:
    """The hash that binds a fork to the history it begins with."""
    return digest("fork", previous, birth)


def fork_request_hash(fork: NewFork) -> bytes:
    """Hash of a ForkRun request as it was sent."""
    return digest(
        "fork_run",
        fork.key.run_id,
        fork.at_seq,
        b"" if fork.objective is None else canonical(fork.objective),
        canonical(*map(_config_ref, fork.config_refs)),
        canonical(*fork.tags),
        canonical(*_pairs(fork.labels)),
    )


def save_hash(new: NewRun) -> bytes:
    """Hash of a SaveRun request as it was sent: with its completion, labels not resolved."""
    completion = new.completion
    return digest("save", birth_hash(new), completion_hash(completion) if completion else b"")


def event_hash(event: Event) -> bytes:
    """Hash of a fact as its writer states it."""
    at = event.occurred_at
    return digest(
        "event",
        event.event_id,
        event.type,
        _payload(event.payload),
        event.node_id,
        event.actor,
        event.model,
        event.tool,
        canonical(*event.tags) if event.tags else b"",
        _usage(event.usage),
        event.trace_parent,
        microseconds(at) if at else b"",
    )


def link_hash(previous: bytes, seq: int, recorded_at: datetime, body: bytes) -> bytes:
    """Hash of an event at its seq, bound to everything before it."""
    return digest("link", previous, seq, microseconds(recorded_at), body)


def plain_hashes(events: PlainEvents, contents: Sequence[bytes | None]) -> list[bytes]:
    """`event_hash` of each event, whose JSON text has this content; in a third of the time."""
    return [
        sha256(
            b"".join(
                (
                    _EVENT,
                    _field(event_id.encode()),
                    _type(type_),
                    _EMPTY if content is None else _json_payload(content),
                    _after_payload(*origin),
                )
            )
        ).digest()
        for event_id, type_, content, origin in zip(
            events.ids, events.types, contents, events.origins, strict=True
        )
    ]


def _json_payload(content: bytes) -> bytes:
    return _LENGTH(_JSON_BYTES + len(content)) + _JSON + _field(content)


@lru_cache(maxsize=1024)
def _type(name: str) -> bytes:
    return _field(name.encode())


@lru_cache(maxsize=1024)
def _after_payload(node_id: str, actor: str, model: str, tool: str, trace_parent: str) -> bytes:
    """The fields of a plain event behind its payload."""
    return canonical(node_id, actor, model, tool, "", "", trace_parent, "")


def links(previous: bytes, seq: int, recorded_at: datetime, bodies: Iterable[bytes]) -> list[bytes]:
    """`link_hash` of events recorded at one time, the first at `seq`, each bound to the last."""
    at = canonical(microseconds(recorded_at)) + _HASH_LENGTH
    found: list[bytes] = []
    for number, body in enumerate(bodies, seq):
        text = b"".join((_LINK, previous, _field(b"%d" % number), at, body))
        previous = sha256(text).digest()
        found.append(previous)
    return found


def snapshot_hash(
    snapshot: Snapshot, hash_of: Callable[[SnapshotPart], bytes] | None = None
) -> bytes:
    """Hash of a snapshot, which covers only the SHA-256 of the content of each part.

    `hash_of` stands in for `part_hash` where the hashes are known already.
    """
    hashed = hash_of or part_hash
    return digest(
        "snapshot",
        snapshot.namespace,
        snapshot.snapshot_id,
        snapshot.parent_snapshot_id,
        snapshot.seq,
        snapshot.plan_version_id,
        snapshot.reason,
        canonical(*(_node(node, hashed) for node in snapshot.nodes)),
        canonical(*snapshot.pending_node_ids),
        canonical(
            *(canonical(name, hashed(snapshot.state[name])) for name in sorted(snapshot.state))
        ),
        _payload(snapshot.metadata),
    )


def task_write_hash(write: TaskWrite) -> bytes:
    """Hash of a task's result."""
    return digest("task_write", write.channel, _payload(write.payload))


def completion_hash(completion: Completion) -> bytes:
    """Hash of a whole completion."""
    final = completion.final_snapshot
    return digest(
        "completion",
        completion.outcome,
        output_hash(completion.output),
        canonical(*map(event_hash, completion.events)),
        snapshot_hash(final) if final else b"",
    )


def output_hash(output: Output) -> bytes:
    """Hash of a run's result."""
    return digest(
        "output",
        _payload(output.payload),
        output.schema_hash,
        output.plan_version_id,
        _payload(output.provenance),
        _payload(output.statistics),
    )


def request_hash(kind: str, *parts: bytes) -> bytes:
    """Hash of a write request that is recognised by its request_id."""
    return digest(kind, *parts)


def config_digest(body: Payload) -> str:
    """The digest of a config version: it depends on the body, not on kind and name."""
    kind = "json" if isinstance(body.content, str) else "binary"
    return f"sha256:{digest('config', kind, body.content_type, body.data).hex()}"


def part_hash(part: SnapshotPart) -> bytes:
    """SHA-256 of a part's content."""
    return part.sha256 if isinstance(part, Ref) else sha256(part.data).digest()


def _payload(payload: Payload | None) -> bytes:
    if payload is None:
        return b""
    kind = "json" if isinstance(payload.content, str) else "binary"
    return canonical(kind, payload.content_type, payload.data)


def _usage(usage: Usage | None) -> bytes:
    if usage is None:
        return b""
    return canonical(
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        usage.cost_micros,
        usage.duration_us,
    )


def _external_ref(ref: ExternalRef | None) -> bytes:
    return canonical(ref.system, ref.id, ref.url, int(ref.owns_status)) if ref else b""


def _config_ref(ref: ConfigRef) -> bytes:
    """A reference as it was sent; a pin has no label."""
    asked = (ref.label,) if ref.label else ()
    return canonical(ref.kind, ref.name, ref.version, ref.digest, *asked)


def _pairs(labels: Mapping[str, str]) -> Iterable[bytes]:
    return (canonical(name, value) for name, value in sorted(labels.items()))


def _node(node: PlanNode, hashed: Callable[[SnapshotPart], bytes]) -> bytes:
    parts = (node.input_schema, node.output_schema, node.provenance, node.state)
    return canonical(
        node.node_id,
        node.kind,
        canonical(*node.facets),
        node.status,
        *(hashed(part) if part else b"" for part in parts),
    )
