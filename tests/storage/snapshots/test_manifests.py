"""A manifest has everything of a snapshot that its row does not, in a form that stays readable."""

from dataclasses import fields, replace
from typing import get_type_hints

import pytest
from runstore_storage.contract.payloads import Payload, Ref, SnapshotPart
from runstore_storage.contract.snapshots import PlanNode, Snapshot
from runstore_storage.payloads.compression import compress, decompress
from runstore_storage.snapshots.manifests import NODE_PARTS, HashedParts, Manifest
from runstore_storage.sql.blobs import BlobRef

PARTS = {
    "json": Payload('{"a": 1.0}'),
    "typed": Payload("2", "application/schema+json"),
    "binary": Payload(b"\x00\xff"),
    "typed binary": Payload(b"", "application/x-protobuf"),
}
NODE = PlanNode("node", "kind", ("facet", "öther"), "status", *PARTS.values())
STATE = {"shared": PARTS["typed"], "own": Payload(b"3")}
SNAPSHOT = Snapshot(nodes=(NODE, PlanNode("bare")), state=STATE)
NUMBERS = {part.data: 10 + number for number, part in enumerate([*PARTS.values(), STATE["own"]])}
TEXT = (
    '{"nodes":[["node","kind",["facet","öther"],"status",10,[11,true,"application/schema+json"],'
    '[12,false,""],[13,false,"application/x-protobuf"]],["bare","",[],"",null,null,null,null]],'
    '"state":{"own":[14,false,""],"shared":[11,true,"application/schema+json"]}}'
)


def stored(parts: HashedParts) -> dict[bytes, BlobRef]:
    """The blobs of all parts that were sent."""
    return {
        sha256: BlobRef(NUMBERS[part.data], isinstance(part.content, str), part.content_type)
        for sha256, part in parts.payloads.items()
    }


def read(manifest: bytes) -> Snapshot:
    return Manifest(manifest).fill(Snapshot(), {number: data for data, number in NUMBERS.items()})


def test_a_manifest_is_written_as_ever() -> None:
    parts = HashedParts(SNAPSHOT)

    manifest = parts.manifest(stored(parts))

    assert decompress(manifest).decode() == TEXT


def test_a_stored_manifest_is_read_whole() -> None:
    manifest = Manifest(compress(TEXT.encode()))

    assert read(compress(TEXT.encode())) == SNAPSHOT
    assert manifest.node_count == 2
    assert manifest.blobs == set(NUMBERS.values())


@pytest.mark.parametrize("name", [field.name for field in fields(PlanNode)])
def test_every_field_of_a_node_is_read_back(name: str) -> None:
    parts = HashedParts(SNAPSHOT)

    (node, _) = read(parts.manifest(stored(parts))).nodes

    assert getattr(NODE, name)
    assert getattr(node, name) == getattr(NODE, name)


def test_every_part_of_a_node_is_stored_as_a_part() -> None:
    hints = get_type_hints(PlanNode)

    assert [name for name, hint in hints.items() if hint == SnapshotPart | None] == [*NODE_PARTS]


def test_a_part_that_is_sent_as_a_reference_keeps_its_kind() -> None:
    sent = HashedParts(SNAPSHOT)
    state = {name: Ref(sent.hash_of(part)) for name, part in STATE.items()}

    manifest = HashedParts(replace(SNAPSHOT, state=state)).manifest(stored(sent))

    assert read(manifest) == SNAPSHOT
