"""Archives of runs of which events were erased: what is left verifies, and cannot be changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from archived import EVENTS, exported, fork_of, problems, rewritten, rows
from conftest import make_store
from database import drop_schema
from migrated import unsealed
from runstore.verify_archive import verify
from runstore_migrations import schema
from runstore_storage.contract.heads import Outcome
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.runs import NewRun
from storage.archives.test_damaged import CHAIN, SEALED
from storage.contract.test_erasures import asked, erased
from storage.contract.test_removals import relayed, take_duties

Files = dict[str, bytes]
Rows = list[dict[str, Any]]
# The first line of a file is of the run.
OLDER, NEWER, LAST = 2, 6, 7


async def erased_archive(database_url: str, name: str) -> tuple[Files, Files]:
    """An archive of a run with events of both versions, of each of which some are erased, and that
    of a fork that shares them; in a schema that is made for it.
    """
    await unsealed(database_url, name)
    older = make_store(database_url, name, salted=False)
    key = (await older.save_run(NewRun("p", "run"))).run.key
    await older.append_events(key, EVENTS)
    await older.close()
    await schema.seal(database_url, name)
    store = make_store(database_url, name)
    await take_duties(store)
    await store.append_events(key, [*EVENTS[1:3]])
    fork = await fork_of(store, key, 6, "fork")
    await store.complete_run(key, Completion(Outcome.SUCCEEDED))
    await relayed(store)
    await asked(store, key, OLDER, NEWER)
    await erased(store)
    archives = await exported(store, key), await exported(store, fork)
    await store.close()
    return archives


@pytest.fixture
async def files(database_url: str) -> AsyncIterator[Files]:
    name = f"runstore_own_{uuid4().hex[:8]}"
    try:
        yield (await erased_archive(database_url, name))[0]
    finally:
        await drop_schema(database_url, name)


async def test_archives_with_erased_events_verify(database_url: str, tmp_path: Path) -> None:
    name = f"runstore_own_{uuid4().hex[:8]}"
    try:
        whole, fork = await erased_archive(database_url, name)
    finally:
        await drop_schema(database_url, name)

    for each in (whole, fork):
        assert problems(tmp_path, each) == []
        assert ", 2 of them erased, in" in verify(tmp_path / "archive.tar").facts
        assert [set(row) for row in rows(each, SEALED) if "erased_at" in row] == [
            {"seq", "erased_at"}
        ] * 2
    assert b"ann" not in b"".join(whole.values())


def change(file: str, row: int, **members: object) -> Callable[[Files], Files]:
    """Change members of a row, and have the manifest agree."""

    def changed(found: Rows) -> None:
        found[row] |= members

    return lambda files: rewritten(files, file, changed)


def hidden(row: int) -> Callable[[Files], Files]:
    """Leave out what is sealed of an event, as where it is erased."""

    def changed(found: Rows) -> None:
        found[row] = {"seq": row, "erased_at": 1}

    return lambda files: rewritten(files, SEALED, changed)


FORGERIES: Mapping[str, Callable[[Files], Files]] = {
    "another node": change(CHAIN, NEWER, node_id="other"),
    "another hash of what was sealed": change(CHAIN, NEWER, sealed="00" * 32),
    "another hash of what was never sealed": change(CHAIN, OLDER, body="00" * 32),
    "another place": change(SEALED, NEWER, seq=1),
    "a time that is none": change(SEALED, NEWER, erased_at="now"),
    "no time": change(SEALED, NEWER, erased_at=None),
    "one member too many": change(SEALED, NEWER, salt=None),
    "the terminal event erased": hidden(LAST),
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_what_is_changed_of_erased_events_is_found(
    files: Files, tmp_path: Path, forgery: str
) -> None:
    assert problems(tmp_path, FORGERIES[forgery](files))


async def test_a_copy_from_which_an_event_is_erased_verifies_too(
    files: Files, tmp_path: Path
) -> None:
    assert problems(tmp_path, hidden(NEWER - 1)(files)) == []
