"""Runs that have everything an archive can have, their archives, and archives put together anew."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from hashlib import sha256
from pathlib import Path
from typing import Any

from runstore.verify_archive import verify
from runstore_server.services.archives import tar_header
from runstore_storage.archives.lines import line
from runstore_storage.contract.artifacts import Announced, NewArtifact
from runstore_storage.contract.configs import ConfigKey, ConfigRef, NewVersion
from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload, Ref
from runstore_storage.contract.runs import ExternalRef, NewFork, NewRun
from runstore_storage.contract.snapshots import PlanNode, Snapshot, TaskWrite
from runstore_storage.contract.store import Store
from runstore_storage.contract.times import time_at

MANIFEST = "manifest.json"
BYTES = b"the bytes of a report"
STATE = Payload('{"messages": ["one", "two"]}')
TWICE, ESCAPED = Payload('{"a": 1.0, "a": 9223372036854775808}'), Payload('"\\u0000\\ud800"')
EVENTS = (
    Event("plain"),
    Event("t", payload=TWICE, actor="ann", tags=("x", "é"), subjects=("ann", "bo")),
    Event("t", payload=ESCAPED, usage=Usage(1, 2, 3, 4, 5), occurred_at=time_at(-1)),
    Event("t", payload=Payload(b"\x00\xff", "application/x"), node_id="n", model="m", tool="t"),
)


async def chunks(content: bytes = BYTES) -> AsyncIterator[bytes]:
    yield content


async def full_run(store: Store, project: str) -> RunKey:
    """A completed run with a row of each kind."""
    config = ConfigKey(project, "prompt", "greeting")
    await store.configs.register_version(NewVersion(config, Payload('{"text": "hi"}')))
    new = NewRun(
        project,
        "run",
        plan_id="plan",
        objective="Answer Ann",
        plan=Payload('{"steps": 1.0}'),
        external_ref=ExternalRef("engine", "7", "https://engine/7"),
        config_refs=(
            ConfigRef("prompt", "greeting", 1),
            ConfigRef("tool", "elsewhere", 4, "sha256:00"),
        ),
        tags=("b", "a"),
        labels={"team": "é", "a": "b"},
        subjects=("ann",),
    )
    key = (await store.save_run(new)).run.key
    await store.append_events(key, EVENTS)
    step = Snapshot(
        snapshot_id="step",
        plan_version_id="v1",
        nodes=(PlanNode("n", "tool", ("f",), "done", state=STATE, provenance=Payload(b"\x01")),),
        pending_node_ids=("m",),
        state={"b": STATE, "a": Payload(b"\x00binary", "application/x")},
        metadata=Payload('{"k": 1}'),
    )
    await store.put_snapshot(key, step, task_writes=[TaskWrite("task", 0, payload=STATE)])
    await store.put_task_writes(key, "", [TaskWrite("task", 1, "step", "c", ESCAPED)])
    await store.artifacts.upload_artifact(
        NewArtifact(key, "report", "t", "text/plain", Payload('{"m": 1}')), Announced(), chunks()
    )
    await store.artifacts.link_artifact(NewArtifact(key, "page"), "https://page", Announced())
    state = Ref(sha256(STATE.data).digest())
    for number in (1, 2):
        await store.complete_run(
            key,
            Completion(
                Outcome.SUCCEEDED,
                output=Output(Payload(str(number)), "hash", "v1", Payload("2"), Payload("3")),
                final_snapshot=Snapshot(snapshot_id="last", state={"a": state})
                if number == 1
                else None,
            ),
        )
    return key


async def fork_of(store: Store, key: RunKey, at_seq: int, run_id: str, events: int = 2) -> RunKey:
    """A fork with some events of its own."""
    fork = (await store.fork_run(NewFork(key, at_seq, run_id))).run.key
    if events:
        await store.append_events(fork, [Event("own", payload=TWICE)] * events)
    return fork


async def exported(store: Store, key: RunKey) -> dict[str, bytes]:
    """The files of a run's archive, in the order of the export."""
    files: dict[str, bytes] = {}
    async with aclosing(store.archives.export_run(key)) as found:
        async for file in found:
            files[file.name] = b"".join([chunk async for chunk in file.chunks])
            assert len(files[file.name]) == file.size
    return files


def tar(files: Mapping[str, bytes]) -> bytes:
    """The files as an export sends them."""
    return b"".join(tar_entry(*each) for each in files.items()) + bytes(1024)


def tar_entry(name: str, content: bytes) -> bytes:
    return tar_header(name, len(content)) + content + bytes(-len(content) % 512)


def problems(path: Path, content: bytes | Mapping[str, bytes]) -> list[str]:
    """What the verifier finds in an archive, given its files or the bytes of the tar file."""
    file = path / "archive.tar"
    file.write_bytes(content if isinstance(content, bytes) else tar(content))
    return verify(file).problems


def rows(files: Mapping[str, bytes], name: str) -> list[dict[str, Any]]:
    """The rows of a file."""
    return [json.loads(line) for line in gzip.decompress(files[name]).splitlines()]


def rewritten(
    files: Mapping[str, bytes], name: str, change: Callable[[list[dict[str, Any]]], object]
) -> dict[str, bytes]:
    """An archive with other rows in a file, whose manifest agrees with that: a forger's."""
    found = rows(files, name)
    change(found)
    text = b"".join(map(line, found))
    return restated({**files, name: gzip.compress(text, mtime=0)}, {name: len(found)})


def retold(
    files: Mapping[str, bytes], name: str, change: Callable[[bytes], bytes]
) -> dict[str, bytes]:
    """An archive with other bytes as the lines of a file, whose manifest agrees with that."""
    return restated({**files, name: gzip.compress(change(gzip.decompress(files[name])), mtime=0)})


def restated(
    files: Mapping[str, bytes], counts: Mapping[str, int] | None = None
) -> dict[str, bytes]:
    """An archive whose manifest names the files that there are, as they are."""
    manifest = json.loads(files[MANIFEST])
    known = {entry["name"]: entry["rows"] for entry in manifest["files"]} | dict(counts or {})
    manifest["files"] = [
        {
            "name": name,
            "sha256": sha256(content).hexdigest(),
            "bytes": len(content),
            "rows": known.get(name),
        }
        for name, content in files.items()
        if name != MANIFEST
    ]
    return {**files, MANIFEST: signed(manifest)}


def signed(manifest: Mapping[str, Any]) -> bytes:
    """A manifest that ends with its SHA-256."""
    members = {name: value for name, value in manifest.items() if name != "sha256"}
    text = json.dumps(members, ensure_ascii=False, indent=1).removesuffix("\n}").encode()
    return text + b',\n "sha256": "' + sha256(text).hexdigest().encode() + b'"\n}\n'
