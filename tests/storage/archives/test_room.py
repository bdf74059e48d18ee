"""Exports take no more of a server's folder of temporary files than they have to."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from tempfile import gettempdir

import pytest
from archived import exported, full_run
from runstore_storage.archives import postgres, row_files
from runstore_storage.contract.errors import Overloaded
from runstore_storage.postgres import PostgresStore


def temporary_files() -> list[str]:
    """The files without a name that this process has open in the folder of temporary files."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            to = str(each.readlink())
        except FileNotFoundError:  # the folder was listed by one of them
            continue
        if to.startswith(gettempdir()) and to.endswith("(deleted)"):
            found.append(to)
    return found


async def test_an_export_too_many_is_refused_and_an_ended_one_makes_room(
    store: PostgresStore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await full_run(store, project)
    monkeypatch.setattr(postgres, "OPEN", 2)

    async with AsyncExitStack() as opened:
        for _ in range(2):
            files = await opened.enter_async_context(aclosing(store.archives.export_run(key)))
            await anext(files)
        with pytest.raises(Overloaded, match="makes 2 exports") as refused:
            await exported(store, key)

    assert refused.value.retry_after == postgres.RETRY_AFTER_SECONDS
    assert await exported(store, key)
    assert await exported(store, key)
    assert await exported(store, key)


async def test_each_temporary_file_is_closed_once_it_was_sent(
    store: PostgresStore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await full_run(store, project)
    monkeypatch.setattr(row_files, "_MEMORY_BYTES", 1)
    before = len(temporary_files())
    left = []

    async with aclosing(store.archives.export_run(key)) as files:
        async for file in files:
            assert b"".join([chunk async for chunk in file.chunks])
            left.append((file.name, len(temporary_files()) - before))

    assert left[:8] == [
        ("chain-000001.jsonl.gz", 7),
        ("sealed-000001.jsonl.gz", 6),
        ("snapshots.jsonl.gz", 5),
        ("task_writes.jsonl.gz", 4),
        ("outputs.jsonl.gz", 3),
        ("artifacts.jsonl.gz", 2),
        ("configs.jsonl.gz", 1),
        ("requests.jsonl.gz", 0),
    ]
