"""What an archive has beside events, read in one transaction: its rows go to files, and what is
large is noted, to be read when it is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from runstore_storage.archives import lines
from runstore_storage.archives.row_files import RowFile
from runstore_storage.configs.bodies import with_body
from runstore_storage.contract.configs import ConfigKey, ConfigRef, VersionSelector
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.holds import Hold
from runstore_storage.contract.runs import Run
from runstore_storage.database.connection import Connection
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.snapshots.manifests import Manifest
from runstore_storage.sql import archives, configs, heads, holds, runs
from runstore_storage.sql.heads import Ancestor, Head
from runstore_storage.sql.snapshots import StoredRow

MOST_HOLDS = 1000


class Part(NamedTuple):
    """A part of snapshots: which blob of which run it is, and how large."""

    run: int
    blob: int
    raw_bytes: int


class Stored(NamedTuple):
    """An artifact's bytes in the object store."""

    location: str
    size: int


@dataclass(slots=True)
class Collected:
    """A run as of one moment, but for its events."""

    head: Head
    history: tuple[tuple[Ancestor, Run], ...]
    """The runs that its history is of, the oldest first; the last is the run itself."""
    holds: tuple[Hold, ...]
    """What keeps the run from being removed, newest first; at most `MOST_HOLDS`."""
    files: list[RowFile] = field(default_factory=list)
    parts: dict[bytes, Part] = field(default_factory=dict)
    objects: dict[bytes, Stored] = field(default_factory=dict)

    @property
    def run(self) -> Run:
        """The run itself."""
        return self.history[-1][1]

    @property
    def pins(self) -> list[ConfigRef]:
        """The configs that a run of the history is pinned to, each once."""
        refs = {ref for _, run in self.history for ref in run.born.config_refs}
        return sorted(refs, key=lambda ref: (ref.kind, ref.name, ref.version, ref.digest))


async def collect(
    conn: Connection, key: RunKey, offloading: Offloading, opened: ExitStack
) -> Collected:
    """Read all of a run but its events; `opened` closes the files that are made."""
    head = await heads.get(conn, key)
    parts = archives.history(head)
    born = await runs.get_many(conn, [part.run for part in parts])
    held = await holds.page(
        conn, key.project, run_id=key.run_id, released=False, limit=MOST_HOLDS, after=None
    )
    found = Collected(head, tuple((part, born[part.run]) for part in parts), held)
    fill = _Filling(conn, found, offloading, opened)
    await fill.snapshots()
    await fill.task_writes()
    await fill.outputs()
    await fill.artifacts()
    await fill.configs(key.project)
    await fill.requests()
    return found


@dataclass(slots=True)
class _Filling:
    """Fills the files, one after the other."""

    conn: Connection
    found: Collected
    offloading: Offloading
    opened: ExitStack

    async def snapshots(self) -> None:
        file = self._begin("snapshots")
        for part, _ in self.found.history:
            async for rows in archives.snapshot_rows(self.conn, part):
                await _add(file, await self._named(rows))

    async def task_writes(self) -> None:
        file = self._begin("task_writes")
        for part, _ in self.found.history:
            async for rows in archives.task_write_rows(self.conn, part):
                await _add(file, map(lines.task_write, rows))

    async def outputs(self) -> None:
        file = self._begin("outputs")
        async for rows in archives.output_rows(self.conn, self.found.head.run):
            for stored, body_hash in rows:
                payload = await self.offloading.load(stored.output.payload, self.conn)
                whole = replace(stored, output=replace(stored.output, payload=payload))
                await _add(file, [lines.output(whole, body_hash)])

    async def artifacts(self) -> None:
        file = self._begin("artifacts")
        async for rows in archives.artifact_rows(self.conn, self.found.head.run):
            for artifact, location in rows:
                if location:
                    self.found.objects[artifact.sha256] = Stored(location, artifact.size or 0)
            await _add(file, (lines.artifact(artifact) for artifact, _ in rows))

    async def configs(self, project: str) -> None:
        file = self._begin("configs")
        for pin in self.found.pins:
            config = await configs.find(self.conn, ConfigKey(project, pin.kind, pin.name))
            selector = VersionSelector(digest=pin.digest)
            stored = await configs.get(self.conn, config, selector) if config else None
            if stored:  # else the run was pinned to what the project has not registered
                await _add(file, [lines.config(await with_body(*stored))])

    async def requests(self) -> None:
        file = self._begin("requests")
        async for rows in archives.request_rows(self.conn, self.found.head.run):
            await _add(file, (lines.request(*row) for row in rows))

    def _begin(self, noun: str) -> RowFile:
        file = self.opened.enter_context(closing(RowFile(f"{noun}.jsonl.gz")))
        self.found.files.append(file)
        return file

    async def _named(self, rows: Iterable[StoredRow]) -> list[lines.Members]:
        """The snapshots as lines; their parts are noted."""
        made = []
        for row in rows:
            manifest = Manifest(row.manifest)
            hashes = {}
            for found in await archives.part_rows(self.conn, row.run, manifest.blobs):
                name, blob = found["sha256"], found["blob"]
                hashes[blob] = name
                self.found.parts.setdefault(name, Part(row.run, blob, found["raw_bytes"]))
            made.append(lines.snapshot(row, manifest.named(hashes)))
        return made


async def _add(file: RowFile, rows: Iterable[Mapping[str, Any]]) -> None:
    await asyncio.to_thread(file.add, rows)
