"""The verifier finds whatever was done to an archive."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from archived import (
    MANIFEST,
    exported,
    full_run,
    problems,
    restated,
    rewritten,
    signed,
    tar,
    tar_entry,
)
from runstore.verify_archive import verify
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.postgres import PostgresStore

Files = dict[str, bytes]
Rows = list[dict[str, Any]]
CHAIN, SEALED = "chain-000001.jsonl.gz", "sealed-000001.jsonl.gz"


@pytest.fixture
async def files(store: PostgresStore, project: str) -> Files:
    return await exported(store, await full_run(store, project))


@pytest.fixture
async def small(store: PostgresStore, project: str) -> bytes:
    """An archive of one event, and little else."""
    key = (await store.save_run(NewRun(project, "small"))).run.key
    await store.append_events(key, [Event("t", payload=Payload("1"))])
    return tar(await exported(store, key))


@pytest.mark.parametrize("step", [37, pytest.param(1, marks=pytest.mark.slow)])
async def test_every_bit_that_is_flipped_is_found(small: bytes, tmp_path: Path, step: int) -> None:
    file = tmp_path / "archive.tar"
    unnoticed = []
    for at in range(0, len(small), step):
        # All bits where the bytes say something; one of each byte of the padding.
        for bit in range(8) if small[at] else [at % 8]:
            flipped = bytearray(small)
            flipped[at] ^= 1 << bit
            file.write_bytes(flipped)
            if not verify(file).problems:
                unnoticed.append((at, bit))

    assert unnoticed == []


async def test_an_archive_that_is_cut_or_goes_on_is_found(small: bytes, tmp_path: Path) -> None:
    for end in range(0, len(small), 97):
        assert problems(tmp_path, small[:end])
    assert problems(tmp_path, small[:-1])
    assert problems(tmp_path, small + b"\0")
    assert problems(tmp_path, small + tar_entry("more", b""))


@pytest.mark.parametrize("forged", [False, True])
async def test_each_file_that_is_removed_is_found(
    files: Files, tmp_path: Path, forged: bool
) -> None:
    for name in files:
        left = {each: content for each, content in files.items() if each != name}
        if forged and name != MANIFEST:
            left = restated(left)

        assert problems(tmp_path, left), name


async def test_files_that_are_swapped_are_found(files: Files, tmp_path: Path) -> None:
    names = [name for name in files if name != MANIFEST]
    for one, other in pairwise(names):
        swapped = {**files, one: files[other], other: files[one]}

        assert problems(tmp_path, swapped), (one, other)
        assert problems(tmp_path, restated(swapped)), (one, other)


async def test_files_that_are_renamed_added_or_there_twice_are_found(
    files: Files, tmp_path: Path
) -> None:
    part = next(name for name in files if name.startswith("parts/"))
    of_object = next(name for name in files if name.startswith("objects/"))
    for name in (part, of_object, CHAIN, SEALED, "outputs.jsonl.gz"):
        for other in ("chain-000002.jsonl.gz", "parts/" + "0" * 64 + ".gz", "other", "../" + name):
            renamed = {other if each == name else each: data for each, data in files.items()}
            assert problems(tmp_path, renamed), (name, other)
            assert problems(tmp_path, restated(renamed)), (name, other)
    more = {"parts/" + "0" * 64 + ".gz": b"", "objects/" + "0" * 64: b"", "more": b""}
    for name, content in more.items():
        assert problems(tmp_path, {**files, name: content}), name
        assert problems(tmp_path, restated({**files, name: content})), name
    for name, content in files.items():
        twice = tar_entry(name, content) + tar(files)
        assert problems(tmp_path, twice) == [f"{name} is there twice"]


async def test_bytes_behind_a_gzip_member_are_found(files: Files, tmp_path: Path) -> None:
    for name, content in files.items():
        if name.endswith(".gz"):
            for more in (b"\0", gzip.compress(b"", mtime=0)):
                assert problems(tmp_path, restated({**files, name: content + more})), name


def replacing(number: int, **members: Any) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        row = rows[number]
        of = row.get("run", row)
        of.update(members)

    return change


def swap(rows: Rows) -> None:
    rows[2], rows[3] = rows[3], rows[2]


FORGERIES: dict[str, tuple[str, Callable[[Rows], object]]] = {
    "another type": (CHAIN, replacing(1, type="u")),
    "another time": (CHAIN, replacing(1, recorded_at=1)),
    "another hash": (CHAIN, replacing(3, hash="00" * 32)),
    "another sealed hash": (CHAIN, replacing(3, sealed="00" * 32)),
    "a member more": (CHAIN, replacing(3, note="x")),
    "a number as another": (CHAIN, replacing(3, recorded_at=1.0)),
    "another plan": (CHAIN, replacing(0, plan_id="x")),
    "another project": (CHAIN, replacing(0, project="x")),
    "an event gone": (CHAIN, lambda rows: rows.pop(3)),
    "the last event gone": (CHAIN, lambda rows: rows.pop()),
    "events in another order": (CHAIN, swap),
    "an event twice": (CHAIN, lambda rows: rows.append(rows[-1])),
    "another payload": (SEALED, replacing(2, payload={"json": "1", "content_type": ""})),
    "another actor": (SEALED, replacing(2, actor="bo")),
    "no subjects": (SEALED, replacing(2, subjects=[])),
    "no salt": (SEALED, replacing(2, salt=None)),
    "another objective": (SEALED, replacing(0, objective="x")),
    "other labels": (SEALED, replacing(0, labels={})),
    "a payload gone": (SEALED, lambda rows: rows.pop()),
    "what is sealed in another order": (SEALED, swap),
    "another metadata": ("snapshots.jsonl.gz", replacing(1, metadata=None)),
    "another seq": ("snapshots.jsonl.gz", replacing(0, seq=1)),
    "a snapshot twice": ("snapshots.jsonl.gz", lambda rows: rows.append(rows[0])),
    "a snapshot without its parts": ("snapshots.jsonl.gz", lambda rows: rows.pop(1)),
    "another task's result": ("task_writes.jsonl.gz", replacing(1, payload=None)),
    "another output": ("outputs.jsonl.gz", replacing(0, payload=None)),
    "another outcome": ("outputs.jsonl.gz", replacing(0, outcome="FAILED")),
    "the output gone": ("outputs.jsonl.gz", lambda rows: rows.clear()),
    "another artifact": ("artifacts.jsonl.gz", replacing(1, sha256="00" * 32)),
    "a larger artifact": ("artifacts.jsonl.gz", replacing(1, size=1)),
    "an artifact without its row": ("artifacts.jsonl.gz", lambda rows: rows.clear()),
    "another config": (
        "configs.jsonl.gz",
        replacing(0, body={"json": "1", "content_type": ""}),
    ),
    "another version": ("configs.jsonl.gz", replacing(0, version=2)),
    "a request twice": ("requests.jsonl.gz", lambda rows: rows.append(rows[0])),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_row_is_found_though_the_manifest_agrees(
    files: Files, tmp_path: Path, name: str
) -> None:
    file, change = FORGERIES[name]

    assert problems(tmp_path, rewritten(files, file, change))


@pytest.mark.parametrize(
    "members",
    [
        {"project": "other"},
        {"run_id": "other"},
        {"format": "other"},
        {"version": 2},
        {"lineage": []},
        {"configs": []},
        {"more": 1},
        {"head": {}},
        {"files": []},
    ],
)
async def test_a_forged_manifest_is_found(
    files: Files, tmp_path: Path, members: dict[str, Any]
) -> None:
    manifest = json.loads(files[MANIFEST]) | members

    assert problems(tmp_path, {**files, MANIFEST: signed(manifest)})


@pytest.mark.parametrize("name", ["last_seq", "last_hash", "completed_at"])
async def test_another_head_is_found(files: Files, tmp_path: Path, name: str) -> None:
    manifest = json.loads(files[MANIFEST])
    manifest["head"][name] = {"last_seq": 4, "last_hash": "00" * 32, "completed_at": None}[name]

    assert problems(tmp_path, {**files, MANIFEST: signed(manifest)})


async def test_events_left_out_at_the_end_are_found(
    store: PostgresStore, project: str, tmp_path: Path
) -> None:
    key = RunKey(project, "run")
    await store.save_run(NewRun(project, "run"))
    await store.append_events(key, [Event("t", payload=Payload("1"))])
    await store.complete_run(key, Completion(Outcome.SUCCEEDED))
    files = await exported(store, key)
    lost = rewritten(files, CHAIN, lambda rows: rows.pop())

    assert problems(tmp_path, rewritten(lost, SEALED, lambda rows: rows.pop())) == [
        "there are 1 events, not 2 as the head says",
        "the head and the events do not agree on whether the run has ended",
    ]


async def test_links_in_a_folder_are_not_followed(files: Files, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / CHAIN).rename(tmp_path.parent / "elsewhere")
    (tmp_path / CHAIN).symlink_to(tmp_path.parent / "elsewhere")

    assert verify(tmp_path).problems
