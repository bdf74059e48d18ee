"""Checkpoints as snapshots: a part for each channel, one for the rest, metadata as JSON.

A channel's value is stored as the serializer wrote it, so a channel that did not change is the same
part and is stored once. The content type of a part names the serializer's format for people who
look at it; the saver itself relies on the types in the checkpoint's record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.serde.base import SerializerProtocol

from runstore.values.payloads import Payload, Ref
from runstore.values.snapshots import Snapshot

# The plan version of snapshots that are checkpoints; other clients may put other snapshots.
FORMAT = "langgraph.checkpoint.v1"
CHECKPOINT_PART = "checkpoint"
METADATA_PART = "metadata"
CHANNEL_PREFIX = "channel/"
MAX_PART_NAME = 200
_CONTENT_TYPE = "application/x-langgraph; type="

State = dict[str, Payload | Ref]
Typed = tuple[str, bytes]
Version = str | int | float


class KnownPart(NamedTuple):
    """A part the run has stored: its hash, and the serializer's type of its content."""

    sha256: bytes
    type: str


class Drafting(NamedTuple):
    """A checkpoint to be put, and those of its parts that the run is known to have."""

    serde: SerializerProtocol
    checkpoint: Checkpoint
    metadata: CheckpointMetadata
    new_versions: ChannelVersions
    known: Mapping[str, KnownPart]


@dataclass(frozen=True, slots=True)
class Draft:
    """A checkpoint as the parts of a snapshot; `channels` are the channels that have a part."""

    state: State
    metadata: Payload
    channels: Mapping[str, KnownPart]

    def is_stored_as(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot has exactly these parts; only for a draft without references."""
        metadata = snapshot.metadata.value() if snapshot.metadata else None
        return dict(self.state) == dict(snapshot.state) and metadata == self.metadata.value()


def typed_payload(typed: Typed) -> Payload:
    """A serialized value as a payload whose content type names the serializer's type."""
    return Payload(bytes(typed[1]), _CONTENT_TYPE + typed[0])


def typed_of(payload: Payload) -> Typed:
    """The inverse of `typed_payload`."""
    return payload.content_type.removeprefix(_CONTENT_TYPE), payload.data


def draft(drafting: Drafting) -> Draft:
    """The parts to send; unchanged channels are sent by reference if their part is known."""
    serde, checkpoint, metadata, new_versions, known = drafting
    state: State = {}
    channels: dict[str, KnownPart] = {}
    inline: dict[str, Any] = {}
    for channel, value in checkpoint["channel_values"].items():
        name = CHANNEL_PREFIX + channel
        if len(name) > MAX_PART_NAME:
            inline[channel] = value
            continue
        stored = known.get(channel) if channel not in new_versions else None
        if stored:
            state[name], channels[channel] = Ref(stored.sha256), stored
        else:
            typed = serde.dumps_typed(value)
            state[name] = payload = typed_payload(typed)
            channels[channel] = KnownPart(payload.sha256, typed[0])
    record = {
        "checkpoint": {key: value for key, value in checkpoint.items() if key != "channel_values"},
        "types": {channel: part.type for channel, part in channels.items()},
        "inline": inline,
    }
    state[CHECKPOINT_PART] = typed_payload(serde.dumps_typed(record))
    exact, as_json = _json_members(metadata)
    if not exact:
        state[METADATA_PART] = typed_payload(serde.dumps_typed(metadata))
    return Draft(state, Payload(json.dumps(as_json, separators=(",", ":"))), channels)


def _json_members(metadata: CheckpointMetadata) -> tuple[bool, dict[str, Any]]:
    """Whether JSON keeps all of the metadata, and the members that JSON can represent."""
    members = {key: value for key, value in metadata.items() if is_json(value)}
    text = json.loads(json.dumps(members))
    return _same(text, dict(metadata)), members


def is_json(value: object) -> bool:
    """Whether JSON can represent a value; tuples count as lists, and keys as strings."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _same(text: object, value: object) -> bool:
    """Whether JSON kept the value: 1 is neither 1.0 nor True, but a tuple may become a list.

    LangGraph's serializer turns tuples into lists as well.
    """
    if isinstance(text, dict) and isinstance(value, dict):
        return text.keys() == value.keys() and all(_same(text[key], value[key]) for key in text)
    if isinstance(text, list) and isinstance(value, list | tuple):
        return len(text) == len(value) and all(map(_same, text, value))
    return type(text) is type(value) and text == value


def is_checkpoint(snapshot: Snapshot) -> bool:
    """Whether a saver put the snapshot; other clients may put snapshots into the same run."""
    return snapshot.plan_version_id == FORMAT


def is_same(one: Snapshot, other: Snapshot) -> bool:
    """Whether two snapshots hold the same checkpoint, in whichever run and namespace."""
    return dict(one.state) == dict(other.state) and one.metadata == other.metadata


def checkpoint_of(serde: SerializerProtocol, snapshot: Snapshot) -> Checkpoint:
    """The checkpoint that a snapshot holds."""
    record = _record(serde, snapshot)
    values: dict[str, Any] = dict(record["inline"])
    for channel, type_ in record["types"].items():
        values[channel] = serde.loads_typed((type_, snapshot.state[CHANNEL_PREFIX + channel].data))
    return cast(Checkpoint, {**record["checkpoint"], "channel_values": values})


def metadata_of(serde: SerializerProtocol, snapshot: Snapshot) -> CheckpointMetadata:
    """The metadata as it was put."""
    exact = snapshot.state.get(METADATA_PART)
    if exact:
        return cast(CheckpointMetadata, serde.loads_typed(typed_of(exact)))
    return cast(CheckpointMetadata, snapshot.metadata.value() if snapshot.metadata else {})


def known_parts(
    serde: SerializerProtocol, snapshot: Snapshot
) -> dict[tuple[str, Version], KnownPart]:
    """The stored parts by channel and version."""
    record = _record(serde, snapshot)
    versions = record["checkpoint"]["channel_versions"]
    return {
        (channel, versions[channel]): KnownPart(
            snapshot.state[CHANNEL_PREFIX + channel].sha256, type_
        )
        for channel, type_ in record["types"].items()
        if channel in versions
    }


def _record(serde: SerializerProtocol, snapshot: Snapshot) -> dict[str, Any]:
    found = serde.loads_typed(typed_of(snapshot.state[CHECKPOINT_PART]))
    return cast(dict[str, Any], found)
