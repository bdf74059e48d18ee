"""A run's archive holds all of it, and proves it without a server."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from archived import (
    BYTES,
    EVENTS,
    MANIFEST,
    TWICE,
    exported,
    fork_of,
    full_run,
    problems,
    rows,
    tar,
)
from conftest import drop_schema, make_store
from migrated import unsealed
from runstore.verify_archive import verify
from runstore_migrations import schema
from runstore_server.services.archives import tar_header
from runstore_storage.archives import chain_files
from runstore_storage.contract.access import Principal, PrincipalKind
from runstore_storage.contract.admin import Act
from runstore_storage.contract.errors import RunNotFound, SnapshotNotFound
from runstore_storage.contract.events import MAX_DURATION_US, MAX_SUM, Event, Usage
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.holds import NewHold, RunSelection
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.snapshots import Snapshot
from runstore_storage.payloads.offloading import LargePayloads
from runstore_storage.postgres import PostgresStore

MIB = 1 << 20
LARGE = Payload('"' + "large " * 1000 + '"')


@pytest.fixture
async def older_schema(database_url: str, db_schema: str) -> AsyncIterator[str]:
    """A schema that no salts are used in yet."""
    name = f"{db_schema}_archive"
    await unsealed(database_url, name)
    yield name
    await drop_schema(database_url, name)


@pytest.fixture
async def key(store: PostgresStore, project: str) -> RunKey:
    return await full_run(store, project)


async def test_an_archive_has_a_row_of_each_kind_and_verifies(
    store: PostgresStore, key: RunKey, tmp_path: Path
) -> None:
    files = await exported(store, key)

    manifest = json.loads(files[MANIFEST])
    counts = {each["name"]: each["rows"] for each in manifest["files"] if each["rows"] is not None}
    assert counts == {
        "chain-000001.jsonl.gz": 6,
        "sealed-000001.jsonl.gz": 6,
        "snapshots.jsonl.gz": 2,
        "task_writes.jsonl.gz": 2,
        "outputs.jsonl.gz": 2,
        "artifacts.jsonl.gz": 2,
        "configs.jsonl.gz": 1,
        "requests.jsonl.gz": 1,
    }
    assert sum(name.startswith("parts/") for name in files) == 3
    assert [each for each in files.values() if each == BYTES] == [BYTES]
    assert list(files)[-1] == MANIFEST
    assert problems(tmp_path, files) == []


async def test_an_archive_says_what_holds_its_run(
    store: PostgresStore, key: RunKey, tmp_path: Path
) -> None:
    by = Principal(PrincipalKind.TOKEN, "ann")
    act = Act(key.project, "PlaceHold", "holds", by, (), "peer", "call", "", "{}")
    asked = (
        NewHold(key.project, "case 7", key.run_id),
        NewHold(key.project, "all of it"),
        NewHold(key.project, "others", where=RunSelection(plan_id="another")),
    )
    one, every, _ = [(await store.holds.place_hold(each, act))[0] for each in asked]

    files = await exported(store, key)

    said = json.loads(files[MANIFEST])["holds"]
    assert [(each["hold_id"], each["names_run"], each["reason"]) for each in said] == [
        (every.hold_id, False, "all of it"),
        (one.hold_id, True, "case 7"),
    ]
    assert said[0]["placed_by"] == {"kind": "TOKEN", "id": "ann", "issuer": ""}
    assert problems(tmp_path, files) == []


async def test_payloads_are_in_it_byte_for_byte(store: PostgresStore, key: RunKey) -> None:
    files = await exported(store, key)

    _, *sealed = rows(files, "sealed-000001.jsonl.gz")
    payloads = [each["payload"] for each in sealed]
    assert payloads[1] == {"json": TWICE.content, "content_type": ""}
    assert payloads[2] == {"json": '"\\u0000\\ud800"', "content_type": ""}
    assert payloads[3] == {"binary": "AP8=", "content_type": "application/x"}


async def test_two_archives_of_a_run_are_equal(store: PostgresStore, key: RunKey) -> None:
    first, second = await exported(store, key), await exported(store, key)

    assert tar(first) == tar(second)


async def test_a_folder_with_the_files_verifies_too(
    store: PostgresStore, key: RunKey, tmp_path: Path
) -> None:
    for name, content in (await exported(store, key)).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)

    found = verify(tmp_path)

    assert found.problems == []
    assert f"run 'run' of project {key.project!r}: 5 events" in found.facts


async def test_files_may_be_in_any_order(store: PostgresStore, key: RunKey, tmp_path: Path) -> None:
    files = await exported(store, key)

    assert problems(tmp_path, dict(reversed(files.items()))) == []


async def test_an_open_run_and_one_without_events_verify(
    store: PostgresStore, project: str, tmp_path: Path
) -> None:
    empty = (await store.save_run(NewRun(project, "empty"))).run.key
    growing = (await store.save_run(NewRun(project, "open"))).run.key
    await store.append_events(growing, EVENTS)

    assert problems(tmp_path, await exported(store, empty)) == []
    assert problems(tmp_path, await exported(store, growing)) == []


@pytest.mark.parametrize("at_seq", [1, 2, 3, 4, 5, 6])
async def test_a_fork_of_a_fork_has_its_whole_history(
    store: PostgresStore, key: RunKey, tmp_path: Path, at_seq: int
) -> None:
    child = await fork_of(store, key, 4, "child")
    grandchild = await fork_of(store, child, at_seq, "grandchild", events=1)
    other = await fork_of(store, grandchild, at_seq, "no events of its own", events=0)

    for each in (child, grandchild, other):
        files = await exported(store, each)
        assert problems(tmp_path, files) == []
    lineage = json.loads(files[MANIFEST])["lineage"]
    assert [each["run_id"] for each in lineage] == [
        *("run", "child", "grandchild", "no events of its own"),
    ]


async def test_a_fork_has_the_snapshots_that_it_sees_and_no_later_ones(
    store: PostgresStore, project: str, tmp_path: Path
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    await store.append_events(key, EVENTS)
    await store.put_snapshot(key, Snapshot(snapshot_id="before", state={"a": Payload("1")}))
    fork = await fork_of(store, key, 0, "fork")
    await store.put_snapshot(key, Snapshot(snapshot_id="after", state={"a": Payload("2")}))

    files = await exported(store, fork)

    assert [each["snapshot_id"] for each in rows(files, "snapshots.jsonl.gz")] == ["before"]
    assert problems(tmp_path, files) == []


async def test_usage_beyond_what_a_sum_may_be_verifies(
    store: PostgresStore, project: str, tmp_path: Path
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    most = Usage(MAX_SUM, MAX_SUM, MAX_SUM, MAX_SUM, MAX_DURATION_US)
    await store.append_events(key, [Event("a", usage=most), Event("b", usage=Usage(1, 1, 1, 1, 1))])
    await store.complete_run(key, Completion(Outcome.SUCCEEDED))

    assert problems(tmp_path, await exported(store, key)) == []


@pytest.mark.parametrize("to_objects", [False, True])
async def test_large_payloads_are_in_it_like_others(
    database_url: str, db_schema: str, project: str, tmp_path: Path, to_objects: bool
) -> None:
    store = make_store(
        database_url, db_schema, large_payloads=LargePayloads(1000, to_objects=to_objects)
    )
    key = (await store.save_run(NewRun(project, "run"))).run.key
    await store.append_events(key, [Event("t", payload=LARGE), Event("t", payload=Payload("1"))])
    completion = Completion(Outcome.FAILED, output=Output(LARGE))
    await store.complete_run(key, completion)

    files = await exported(store, key)
    await store.close()

    assert rows(files, "sealed-000001.jsonl.gz")[1]["payload"]["json"] == LARGE.content
    assert rows(files, "outputs.jsonl.gz")[0]["payload"]["json"] == LARGE.content
    assert problems(tmp_path, files) == []


async def test_runs_without_salts_and_mixed_ones_verify(
    database_url: str, older_schema: str, tmp_path: Path
) -> None:
    older = make_store(database_url, older_schema, salted=False)
    whole = await full_run(older, "whole")
    mixed = (await older.save_run(NewRun("mixed", "run", subjects=("ann",)))).run.key
    await older.append_events(mixed, EVENTS)
    before = await exported(older, whole)
    await older.close()
    await schema.seal(database_url, older_schema)
    newer = make_store(database_url, older_schema)
    await newer.append_events(mixed, EVENTS[1:])
    await newer.complete_run(mixed, Completion(Outcome.CANCELLED))
    fork = await fork_of(newer, mixed, 2, "fork")

    after = await exported(newer, mixed)

    assert problems(tmp_path, before) == []
    assert problems(tmp_path, after) == []
    assert problems(tmp_path, await exported(newer, fork)) == []
    kinds = ["sealed" in each for each in rows(after, "chain-000001.jsonl.gz")[1:]]
    assert kinds == [False] * 4 + [True] * 4
    assert "sealed" not in rows(before, "chain-000001.jsonl.gz")[0]["run"]
    await newer.close()


@pytest.mark.parametrize("limit", ["EVENTS", "TEXT_BYTES"])
async def test_events_are_cut_into_pairs_of_files(
    store: PostgresStore,
    key: RunKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
) -> None:
    monkeypatch.setattr(chain_files, limit, 2 if limit == "EVENTS" else 1)

    files = await exported(store, key)

    numbers = 3 if limit == "EVENTS" else 6
    assert sum(name.startswith("chain-") for name in files) == numbers
    assert problems(tmp_path, files) == []


async def test_an_export_of_a_growing_run_is_as_of_its_beginning(
    store: PostgresStore, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    await store.append_events(key, EVENTS)
    monkeypatch.setattr(chain_files, "EVENTS", 1)
    files: dict[str, bytes] = {}

    async for file in store.archives.export_run(key):
        await store.append_events(key, EVENTS)
        await store.put_snapshot(key, Snapshot(state={"a": Payload(f'"{file.name}"')}))
        files[file.name] = b"".join([chunk async for chunk in file.chunks])

    assert json.loads(files[MANIFEST])["head"]["last_seq"] == len(EVENTS)
    assert rows(files, "snapshots.jsonl.gz") == []
    assert problems(tmp_path, files) == []


async def test_an_export_whose_snapshots_are_deleted_meanwhile_ends(
    store: PostgresStore, key: RunKey
) -> None:
    files = store.archives.export_run(key)
    await anext(files)
    await store.delete_snapshots(key, "", ["step", "last"])

    with pytest.raises(SnapshotNotFound, match="deleted during the export"):
        _ = [file.name async for file in files]


async def test_an_unknown_run_has_no_archive(store: PostgresStore, project: str) -> None:
    with pytest.raises(RunNotFound):
        await exported(store, RunKey(project, "unknown"))


async def test_an_export_that_is_left_leaves_nothing_open(
    store: PostgresStore, key: RunKey
) -> None:
    files = store.archives.export_run(key)
    first = await anext(files)
    await files.aclose()

    assert first.name == "chain-000001.jsonl.gz"


async def test_files_are_gzip_without_a_time(store: PostgresStore, key: RunKey) -> None:
    files = await exported(store, key)

    packed = [content for name, content in files.items() if name.endswith(".gz")]
    assert {content[4:8] for content in packed} == {bytes(4)}
    assert all(map(gzip.decompress, packed[:2]))


@pytest.mark.slow
async def test_an_export_of_many_events_takes_little_memory(
    store: PostgresStore, project: str, tmp_path: Path
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    texts = random.Random(0)
    batch = [Event("t", payload=Payload(f'"{texts.randbytes(100).hex()}"')) for _ in range(1000)]
    for _ in range(100):
        await store.append_events(key, batch)

    tracemalloc.start()
    size = 0
    with (tmp_path / "archive.tar").open("wb") as archive:
        async for file in store.archives.export_run(key):
            archive.write(tar_header(file.name, file.size))
            async for chunk in file.chunks:
                size += len(chunk)
                archive.write(chunk)
            archive.write(bytes(-file.size % 512))
        archive.write(bytes(1024))
    exporting = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    found = await asyncio.to_thread(verify, tmp_path / "archive.tar")
    verifying = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert found.problems == []
    assert size > 20 * MIB
    assert exporting < 24 * MIB
    assert verifying < 24 * MIB
