"""The verifier in Go, which shares no code with the one in Python, finds the same."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archived import (
    EVENTS,
    MANIFEST,
    exported,
    fork_of,
    full_run,
    problems,
    restated,
    retold,
    rewritten,
    tar,
    tar_entry,
)
from conftest import drop_schema, make_store
from migrated import unsealed
from runstore_migrations import schema
from runstore_server.services.archives import tar_header
from runstore_storage.contract.events import MAX_DURATION_US, MAX_SUM, Event, Usage
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.runs import NewRun
from runstore_storage.postgres import PostgresStore
from storage.archives.test_damaged import (
    CHAIN,
    FORGERIES,
    HEADS,
    RETOLD,
    in_another_form,
    plain_run,
    with_birth,
    with_manifest,
)
from storage.archives.test_erased import FORGERIES as ERASED
from storage.archives.test_erased import erased_archive

GO = Path(__file__).parents[2] / "clients" / "go"
SAMPLES = 300

Verify = Callable[[bytes], list[str]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("go") is None:
        pytest.skip("Go is not installed")
    built = tmp_path_factory.mktemp("go") / "verify-archive"
    subprocess.run(["go", "build", "-o", built, "./cmd/verify-archive"], cwd=GO, check=True)
    return built


@pytest.fixture
def verify(program: Path, tmp_path: Path) -> Verify:
    """What the program finds in a tar file."""

    def found(archive: bytes) -> list[str]:
        file = tmp_path / "of-go.tar"
        file.write_bytes(archive)
        done = subprocess.run([program, file], capture_output=True, text=True, check=False)
        assert done.returncode in {0, 1}, done.stderr
        return done.stdout.splitlines() if done.returncode else []

    return found


async def test_archives_of_every_kind_verify(
    store: PostgresStore,
    project: str,
    database_url: str,
    db_schema: str,
    verify: Verify,
    tmp_path: Path,
) -> None:
    whole = await full_run(store, project)
    child = await fork_of(store, whole, 4, "child")
    runs = [whole, child]
    for at_seq in (1, 4, 5, 6):
        grandchild = await fork_of(store, child, at_seq, f"grandchild-{at_seq}", events=1)
        runs += [grandchild, await fork_of(store, grandchild, at_seq, f"last-{at_seq}", events=0)]
    used = (await store.save_run(NewRun(project, "used"))).run.key
    most = Usage(MAX_SUM, MAX_SUM, MAX_SUM, MAX_SUM, MAX_DURATION_US)
    await store.append_events(used, [Event("a", usage=most), Event("b", usage=most)])
    archives = [await exported(store, each) for each in [*runs, used]]
    older_schema = f"{db_schema}_of_go"
    await unsealed(database_url, older_schema)
    older = make_store(database_url, older_schema, salted=False)
    archives.append(await exported(older, await full_run(older, "whole")))
    mixed = (await older.save_run(NewRun("mixed", "run", subjects=("ann",)))).run.key
    await older.append_events(mixed, EVENTS)
    await older.close()
    await schema.seal(database_url, older_schema)
    newer = make_store(database_url, older_schema)
    await newer.append_events(mixed, EVENTS[1:])
    archives.append(await exported(newer, mixed))
    await newer.close()
    await drop_schema(database_url, older_schema)

    found = [await asyncio.to_thread(verify, tar(each)) for each in archives]

    assert found == [[]] * 13
    assert [problems(tmp_path, each) for each in archives] == [[]] * 13


async def test_erased_events_are_verified_alike(
    database_url: str, db_schema: str, verify: Verify
) -> None:
    name = f"{db_schema}_erased"
    whole, fork = await erased_archive(database_url, name)
    await drop_schema(database_url, name)

    assert [verify(tar(each)) for each in (whole, fork)] == [[], []]
    assert all(verify(tar(forge(whole))) for forge in ERASED.values())


async def test_a_sample_of_flipped_bits_is_found(
    store: PostgresStore, project: str, verify: Verify
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    await store.append_events(key, [Event("t")])
    whole, chance = tar(await exported(store, key)), random.Random(0)
    unnoticed = []
    for _ in range(SAMPLES):
        at, bit = chance.randrange(len(whole)), chance.randrange(8)
        flipped = bytearray(whole)
        flipped[at] ^= 1 << bit
        if not await asyncio.to_thread(verify, bytes(flipped)):
            unnoticed.append((at, bit))

    assert unnoticed == []


async def test_files_that_are_missing_swapped_added_or_there_twice_are_found(
    store: PostgresStore, project: str, verify: Verify
) -> None:
    files = await exported(store, await full_run(store, project))
    names = list(files)
    damaged = [tar(files)[:-1], tar(files) + b"\0", tar(files)[:3000]]
    for one, other in zip(names, [*names[1:], names[0]], strict=True):
        left = {name: content for name, content in files.items() if name != one}
        swapped = {**files, one: files[other], other: files[one]}
        damaged += [tar(left), tar(swapped), tar_entry(one, files[one]) + tar(files)]
        if MANIFEST not in {one, other}:
            damaged += [tar(restated(left)), tar(restated(swapped))]
        if one.endswith(".gz"):
            damaged.append(tar(restated({**files, one: files[one] + b"\0"})))
    for more in ("parts/" + "0" * 64 + ".gz", "objects/" + "0" * 64, "more"):
        damaged += [tar({**files, more: b""}), tar(restated({**files, more: b""}))]

    found = [await asyncio.to_thread(verify, each) for each in damaged]

    assert verify(tar(files)) == []
    assert all(found), [number for number, each in enumerate(found) if not each]


async def test_each_forged_row_is_found(store: PostgresStore, project: str, verify: Verify) -> None:
    files = await exported(store, await full_run(store, project))
    missed: list[Any] = [
        name
        for name, (file, change) in FORGERIES.items()
        if not verify(tar(rewritten(files, file, change)))
    ]

    assert missed == []


async def test_each_line_in_another_form_is_found(
    store: PostgresStore, project: str, verify: Verify
) -> None:
    files = await exported(store, await full_run(store, project))
    missed: list[Any] = [
        name
        for name, (file, change) in RETOLD.items()
        if not verify(tar(retold(files, file, change)))
    ]

    assert missed == []
    assert all(verify(tar({**files, MANIFEST: each})) for each in in_another_form(files))
    assert verify(tar(retold(files, CHAIN, bytes))) == []


async def test_each_forged_head_is_found(
    store: PostgresStore, project: str, verify: Verify
) -> None:
    files = await exported(store, await full_run(store, project))
    running = await plain_run(store, f"{project}-open")
    missed: list[Any] = [
        name
        for name, members in HEADS.items()
        if not verify(tar(with_manifest(files, lambda of, to=members: of["head"].update(to))))
    ]

    assert missed == []
    for ended in ({"status": "SUCCEEDED"}, {"outcome": "SUCCEEDED"}):
        forged = with_manifest(running, lambda of, to=ended: of["head"].update(to))
        assert verify(tar(forged)), ended


async def test_births_that_the_chain_is_not_bound_to_are_found(
    store: PostgresStore, project: str, verify: Verify
) -> None:
    files = await plain_run(store, project)
    missed = [
        (run_id, at_seq)
        for run_id in ("A", "B")
        for at_seq in (-1, 0, 1, 2, 3, 100)
        if not verify(tar(with_birth(files, run_id, at_seq)))
    ]

    assert missed == []


async def test_a_size_below_nothing_is_found(verify: Verify) -> None:
    assert verify(tar_header(MANIFEST, -512) + bytes(1024)) == [
        "byte 0 of the tar file is not the beginning of a file"
    ]


async def test_a_folder_verifies_too(
    store: PostgresStore, project: str, program: Path, tmp_path: Path
) -> None:
    key: RunKey = await full_run(store, project)
    for name, content in (await exported(store, key)).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)

    command = [program, tmp_path]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout
    assert "5 events" in done.stdout
