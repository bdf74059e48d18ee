"""An archive in the object store: its manifest, and where in its files the events are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from runstore_storage.archived.pairs import File, Pair
from runstore_storage.archived.parsing import MALFORMED
from runstore_storage.contract.errors import ArchiveInvalid
from runstore_storage.payloads.objects import ObjectMissing, Objects, archives_folder
from runstore_storage.sql.archive_states import Place

MANIFEST = "manifest.json"


def folder_of(place: Place) -> str:
    """Where the files of an attempt are: a late writer of another one writes elsewhere."""
    return f"{archives_folder(place.project, place.birth)}/{place.n}/{place.attempt}"


@dataclass(frozen=True, slots=True)
class Part:
    """A pair of files, and the seqs of its events."""

    number: int
    chain: File
    sealed: File
    births: int
    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class OpenedArchive:
    """An archive whose manifest is the one that was written."""

    place: Place
    parts: Sequence[Part]

    def part_of(self, seq: int) -> Part:
        """The pair of files that has an event."""
        for each in self.parts:
            if each.first_seq <= seq <= each.last_seq:
                return each
        raise ArchiveInvalid(self.place.run_id, MANIFEST, f"names no file with event {seq}")

    async def fetch(self, objects: Objects, part: Part) -> Pair:
        """A pair of files; close it."""
        pair = Pair(self.place.run_id, part.chain, part.sealed, part.births, part.first_seq)
        try:
            await pair.fetch(objects, folder_of(self.place))
        except BaseException:
            pair.close()
            raise
        return pair


async def opened(objects: Objects, place: Place) -> OpenedArchive:
    """Read an archive's manifest; raise `ArchiveInvalid` if it is not the one that was written."""
    try:
        pieces = objects.read_all(f"{folder_of(place)}/{MANIFEST}")
        content = b"".join([piece async for piece in pieces])
    except ObjectMissing as error:
        raise ArchiveInvalid(place.run_id, MANIFEST, "is missing") from error
    if sha256(content).digest() != place.manifest_hash:
        raise ArchiveInvalid(place.run_id, MANIFEST, "is not the one that was written")
    try:
        return OpenedArchive(place, list(_parts(json.loads(content))))
    except MALFORMED as error:
        raise ArchiveInvalid(place.run_id, MANIFEST, "is not as manifests are") from error


def _parts(manifest: dict[str, object]) -> Sequence[Part]:
    files = {}
    for each in manifest["files"]:  # type: ignore[attr-defined]  # JSON, checked by its hash
        files[each["name"]] = File(each["name"], each["sha256"], each["bytes"], each["rows"])
    births = len(manifest["lineage"])  # type: ignore[arg-type]  # likewise
    parts: list[Part] = []
    first = 1
    while chain := files.get(f"chain-{len(parts) + 1:06}.jsonl.gz"):
        sealed = files[chain.name.replace("chain", "sealed")]
        before = 0 if parts else births
        last = first + chain.rows - before - 1
        parts.append(Part(len(parts) + 1, chain, sealed, before, first, last))
        first = last + 1
    return parts
