"""The verifier finds whatever was done to an archive."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from hashlib import sha256
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
    retold,
    rewritten,
    rows,
    signed,
    tar,
    tar_entry,
)
from runstore.verify_archive import birth_hash, verify
from runstore_server.services.archives import tar_header
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.postgres import PostgresStore

Files = dict[str, bytes]
Rows = list[dict[str, Any]]
USED = {
    "input_tokens": 1,
    "output_tokens": 2,
    "cached_input_tokens": 3,
    "cost_micros": 4,
    "duration_us": 5,
}
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
    "a task write of another run": ("task_writes.jsonl.gz", replacing(1, run_id="other")),
    "a task write twice": ("task_writes.jsonl.gz", lambda rows: rows.append(rows[0])),
    "another usage of an output": (
        "outputs.jsonl.gz",
        replacing(1, usage=dict(USED, input_tokens=2)),
    ),
    "a number as text": (CHAIN, lambda rows: rows[3].update(seq=str(rows[3]["seq"]))),
    "a time as text": (CHAIN, lambda rows: rows[3].update(recorded_at=str(rows[3]["recorded_at"]))),
    "a flag as a number": (
        CHAIN,
        lambda rows: rows[0]["run"]["external_ref"].update(owns_status=0),
    ),
    "a number as a flag": ("outputs.jsonl.gz", replacing(0, revision=True)),
    "a row that nothing reads as a fraction": ("configs.jsonl.gz", replacing(0, created_at=1.5)),
    "a number larger than 64 bits": ("artifacts.jsonl.gz", replacing(0, created_at=2**63)),
    "no time": ("snapshots.jsonl.gz", replacing(0, created_at=None)),
    "a member more in the usage": (CHAIN, lambda rows: rows[3]["usage"].update(more=1)),
    "a member more in a reference": (
        CHAIN,
        lambda rows: rows[0]["run"]["external_ref"].update(more="x"),
    ),
    "a member more in a pin": (
        CHAIN,
        lambda rows: rows[0]["run"]["config_refs"][0].update(more="x"),
    ),
    "a member more in a payload": (
        "artifacts.jsonl.gz",
        lambda rows: rows[1]["metadata"].update(more="x"),
    ),
    "a salt in capitals": (SEALED, lambda rows: rows[2].update(salt=rows[2]["salt"].upper())),
    "base64 in two lines": (SEALED, lambda rows: rows[4]["payload"].update(binary="AP8=\n")),
    "base64 with bits left over": (SEALED, lambda rows: rows[4]["payload"].update(binary="AP9=")),
}


def _timed(text: bytes, other: bytes) -> bytes:
    return re.sub(rb'"created_at":[0-9]+', b'"created_at":' + other, text)


# What is to be refused though another reader would take it for the same.
RETOLD: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "spaces": (CHAIN, lambda text: text.replace(b'"node_id":', b'"node_id": ')),
    "a space at the end": (CHAIN, lambda text: text[:-1] + b" \n"),
    "UTF-16": (
        CHAIN,
        lambda text: b"".join(each.decode().encode("utf-16-be") for each in text.splitlines(True)),
    ),
    "a mark of UTF-8": (CHAIN, lambda text: b"\xef\xbb\xbf" + text),
    "no UTF-8": (SEALED, lambda text: text.replace("é".encode(), b"\xe9")),
    "an escape": (SEALED, lambda text: text.replace("é".encode(), b"\\u00e9")),
    "another escape": (SEALED, lambda text: text.replace(b"https://", b"https:\\/\\/")),
    "a lone surrogate": (
        "artifacts.jsonl.gz",
        lambda text: text.replace(b'"report"', b'"\\ud800"'),
    ),
    "a member twice": (
        CHAIN,
        lambda text: text.replace(b'"node_id":"n"', b'"node_id":"forged","node_id":"n"'),
    ),
    "a member twice, unread": (
        "configs.jsonl.gz",
        lambda text: text.replace(b'"description":""', b'"description":"x","description":""'),
    ),
    "no number": ("configs.jsonl.gz", lambda text: _timed(text, b"NaN")),
    "no end": ("configs.jsonl.gz", lambda text: _timed(text, b"-Infinity")),
    "a fraction": ("configs.jsonl.gz", lambda text: _timed(text, b"1.0")),
    "a power": ("configs.jsonl.gz", lambda text: _timed(text, b"1e3")),
    "less than nothing": ("configs.jsonl.gz", lambda text: _timed(text, b"-0")),
    "an empty line": ("configs.jsonl.gz", lambda text: b"\n" + text),
}


@pytest.mark.parametrize("name", RETOLD)
async def test_lines_in_another_form_are_found(files: Files, tmp_path: Path, name: str) -> None:
    file, change = RETOLD[name]
    told = retold(files, file, change)

    assert told[file] != retold(files, file, bytes)[file]
    assert problems(tmp_path, told)


async def test_lines_in_the_form_of_exports_are_no_problem(files: Files, tmp_path: Path) -> None:
    for name in (CHAIN, SEALED, "snapshots.jsonl.gz", "configs.jsonl.gz", "requests.jsonl.gz"):
        assert problems(tmp_path, retold(files, name, bytes)) == []
        assert problems(tmp_path, rewritten(files, name, lambda rows: rows)) == []


def with_manifest(files: Files, change: Callable[[dict[str, Any]], object]) -> Files:
    """An archive whose manifest says something else."""
    manifest = json.loads(files[MANIFEST])
    change(manifest)
    return {**files, MANIFEST: signed(manifest)}


def with_birth(files: Files, run_id: str, at_seq: int) -> Files:
    """An archive with the birth of another run, a fork that begins at a seq."""
    forged: dict[str, Any] = {}

    def open_birth(lines: Rows) -> None:
        run, sealed = lines[0]["run"], rows(files, SEALED)[0]["run"]
        sealed |= {"run_id": run_id, "objective": "forged", "salt": None}
        run = {**run, "run_id": run_id, "fork_base": {"run_id": run["run_id"], "seq": at_seq}}
        del run["sealed"]
        run["birth"] = birth_hash(run, sealed).hex()
        forged.update(run=run, sealed=sealed)
        lines.insert(1, {"run": run})

    def add_ancestor(manifest: dict[str, Any]) -> None:
        own = {"run_id": run_id, "birth": forged["run"]["birth"], "has_events": True}
        manifest["lineage"][0]["last_seq"] = at_seq
        manifest["lineage"].append({**own, "last_seq": manifest["head"]["last_seq"]})
        manifest["run_id"] = run_id

    opened = rewritten(files, CHAIN, open_birth)
    beside = rewritten(opened, SEALED, lambda lines: lines.insert(1, {"run": forged["sealed"]}))
    return with_manifest(beside, add_ancestor)


async def plain_run(store: PostgresStore, project: str) -> Files:
    """The archive of a run with two events."""
    key = (await store.save_run(NewRun(project, "A", objective="true"))).run.key
    await store.append_events(key, [Event("t"), Event("t")])
    return await exported(store, key)


@pytest.mark.parametrize("at_seq", [-1, 0, 1, 2, 3, 100])
@pytest.mark.parametrize("run_id", ["A", "B"])
async def test_a_birth_that_the_chain_is_not_bound_to_is_found(
    store: PostgresStore, project: str, tmp_path: Path, run_id: str, at_seq: int
) -> None:
    files = await plain_run(store, project)

    assert problems(tmp_path, with_birth(files, run_id, at_seq))


HEADS: dict[str, Any] = {
    "another outcome": {"outcome": "FAILED"},
    "no outcome": {"outcome": "UNSPECIFIED"},
    "another status": {"status": "FAILED"},
    "still running": {"status": "RUNNING"},
    "another usage": {"usage": dict(USED, cost_micros=0)},
    "a member more": {"more": 1},
    "a number as text": {"writer_epoch": "1"},
    "a flag": {"writer_epoch": True},
    "a fraction": {"updated_at": 1.0},
}


@pytest.mark.parametrize("name", HEADS)
async def test_a_head_that_the_events_do_not_lead_to_is_found(
    files: Files, tmp_path: Path, name: str
) -> None:
    forged = with_manifest(files, lambda manifest: manifest["head"].update(HEADS[name]))

    assert problems(tmp_path, forged)


@pytest.mark.parametrize("members", [{"status": "SUCCEEDED"}, {"outcome": "SUCCEEDED"}])
async def test_an_end_that_no_event_records_is_found(
    store: PostgresStore, project: str, tmp_path: Path, members: dict[str, str]
) -> None:
    files = await plain_run(store, project)

    assert problems(tmp_path, with_manifest(files, lambda of: of["head"].update(members)))


def in_another_form(files: Files) -> list[bytes]:
    """Manifests which say the same in another form, each with its SHA-256."""
    text = files[MANIFEST].rpartition(b',\n "sha256": "')[0]
    found = []
    for other in (
        text.replace(b'"project": ', b'"project":  '),
        text.replace(b'"version": 1,', b'"version": 1.0,'),
        text.replace(b'"version": 1,', b'"version": 2,\n "version": 1,'),
    ):
        assert other != text
        found.append(other + b',\n "sha256": "' + sha256(other).hexdigest().encode() + b'"\n}\n')
    return found


async def test_a_manifest_in_another_form_is_found(files: Files, tmp_path: Path) -> None:
    for manifest in in_another_form(files):
        assert problems(tmp_path, {**files, MANIFEST: manifest})


async def test_a_size_below_nothing_is_found(small: bytes, tmp_path: Path) -> None:
    header = tar_header(MANIFEST, -512)

    assert problems(tmp_path, header + small) == [
        "byte 0 of the tar file is not the beginning of a file"
    ]


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
        {"holds": [{"hold_id": "h"}]},
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
