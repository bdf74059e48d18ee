"""The stored form of a snapshot: a manifest that names its parts, and the parts as blobs.

A part is stored once per run by the SHA-256 of its content, compressed with zstd. The manifest is
zstd-compressed JSON text that refers to blobs by number, so an unchanged part costs the digits of
that number.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from runstore_storage import chain
from runstore_storage.contract.payloads import Payload, Ref, SnapshotPart
from runstore_storage.contract.snapshots import PlanNode, Snapshot
from runstore_storage.payloads.compression import compress, compress_all, decompress
from runstore_storage.sql.blobs import BlobRef, NewBlob

NODE_PARTS = ("input_schema", "output_schema", "provenance", "state")

# A part in the manifest: its blob's number, or (number, is_json, content_type) if the part is not
# plain JSON; null for an absent part.
Entry = int | tuple[int, bool, str] | None


class HashedParts:
    """The parts of one snapshot, each hashed once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._hashes = {id(part): chain.part_hash(part) for part in parts_of(snapshot)}
        self.payloads = {
            self.hash_of(part): part for part in parts_of(snapshot) if isinstance(part, Payload)
        }

    def hash_of(self, part: SnapshotPart) -> bytes:
        return self._hashes[id(part)]

    @property
    def hashes(self) -> set[bytes]:
        return set(self._hashes.values())

    @property
    def size(self) -> int:
        """The size of the parts that were sent in full."""
        return sum(len(payload.data) for payload in self.payloads.values())

    def missing(self, stored: Mapping[bytes, BlobRef]) -> bytes | None:
        """The hash of some part that was neither sent nor stored before."""
        return next((each for each in self.hashes - self.payloads.keys() - stored.keys()), None)

    def compress(self, stored: Collection[bytes]) -> list[NewBlob]:
        """Blobs of the parts whose hashes are not in `stored`."""
        new = {name: part for name, part in self.payloads.items() if name not in stored}
        packed = compress_all(payload.data for payload in new.values())
        return [
            NewBlob(
                sha256,
                isinstance(payload.content, str),
                payload.content_type,
                len(payload.data),
                data,
            )
            for (sha256, payload), data in zip(new.items(), packed, strict=True)
        ]

    def manifest(self, stored: Mapping[bytes, BlobRef]) -> bytes:
        """The manifest, given the blobs of all parts."""

        def entry(part: SnapshotPart | None) -> Entry:
            if part is None:
                return None
            blob = stored[self.hash_of(part)]
            if isinstance(part, Ref):
                kind = blob.is_json, blob.content_type
            else:
                kind = isinstance(part.content, str), part.content_type
            return blob.blob if kind == (True, "") else (blob.blob, *kind)

        snapshot = self.snapshot
        body = {
            "nodes": [
                [node.node_id, node.kind, node.facets, node.status]
                + [entry(getattr(node, name)) for name in NODE_PARTS]
                for node in snapshot.nodes
            ],
            "state": {name: entry(snapshot.state[name]) for name in sorted(snapshot.state)},
        }
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return compress(text.encode())


class Manifest:
    """A stored manifest, read back."""

    def __init__(self, stored: bytes) -> None:
        self._body: dict[str, Any] = json.loads(decompress(stored))

    @property
    def node_count(self) -> int:
        return len(self._body["nodes"])

    @property
    def blobs(self) -> set[int]:
        """Numbers of the blobs of the snapshot's parts."""
        return {_number(entry) for entry in self._entries() if entry is not None}

    def fill(self, snapshot: Snapshot, data: Mapping[int, bytes]) -> Snapshot:
        """The snapshot with its parts, given each blob's content."""

        def part(entry: Any) -> SnapshotPart | None:
            if entry is None:
                return None
            is_json, content_type = entry[1:] if isinstance(entry, list) else (True, "")
            content = data[_number(entry)]
            return Payload(content.decode() if is_json else content, content_type)

        nodes = tuple(
            PlanNode(node_id, kind, tuple(facets), status, *map(part, entries))
            for node_id, kind, facets, status, *entries in self._body["nodes"]
        )
        state = {name: part(entry) for name, entry in self._body["state"].items()}
        return replace(
            snapshot, nodes=nodes, state={name: got for name, got in state.items() if got}
        )

    def named(self, hashes: Mapping[int, bytes]) -> dict[str, object]:
        """The nodes, and the state by name, each part by its hash, its kind and its media type."""

        def part(entry: Any) -> dict[str, str] | None:
            if entry is None:
                return None
            is_json, content_type = entry[1:] if isinstance(entry, list) else (True, "")
            return {
                "sha256": hashes[_number(entry)].hex(),
                "kind": "json" if is_json else "binary",
                "content_type": content_type,
            }

        nodes = [
            {"node_id": node_id, "kind": kind, "facets": facets, "status": status}
            | dict(zip(NODE_PARTS, map(part, entries), strict=True))
            for node_id, kind, facets, status, *entries in self._body["nodes"]
        ]
        state = {name: part(entry) for name, entry in self._body["state"].items()}
        return {"nodes": nodes, "state": {name: got for name, got in state.items() if got}}

    def _entries(self) -> Iterator[Any]:
        for node in self._body["nodes"]:
            yield from node[-len(NODE_PARTS) :]
        yield from self._body["state"].values()


def parts_of(snapshot: Snapshot) -> Iterator[SnapshotPart]:
    """Every part of a snapshot."""
    for node in snapshot.nodes:
        yield from (part for name in NODE_PARTS if (part := getattr(node, name)) is not None)
    yield from snapshot.state.values()


def _number(entry: int | list[Any]) -> int:
    return int(entry[0]) if isinstance(entry, list) else entry


def unique_blobs(manifests: Iterable[tuple[int, Manifest]]) -> set[tuple[int, int]]:
    """The (run, blob) pairs that several manifests need."""
    return {(run, blob) for run, manifest in manifests for blob in manifest.blobs}
