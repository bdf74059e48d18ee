"""Erasing events of archived runs: no file has them once it is done."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest
from runstore.verify_archive import verify
from runstore_storage.contract.archives import ArchiveState
from runstore_storage.contract.erasures import Blocker, ErasureState
from runstore_storage.contract.errors import ArchiveInvalid
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.holds import NewHold
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewFork
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore
from storage.contract.archiving import (
    all_done,
    archived,
    decided,
    files,
    pages,
    restored,
    rows_of,
    state_of,
    step,
    until,
)
from storage.contract.test_erasures import (
    ANN,
    KEPT,
    SECRET,
    TO_ERASE,
    act,
    asked,
    asked_of,
    completed,
    ended,
    erased,
    is_whole,
    relayed,
)
from storage.contract.test_erasures import state_of as erasure_of
from storage.contract.test_removals import ME, kept

pytestmark = pytest.mark.usefixtures(kept.__name__)


def texts(store: PostgresStore, key: RunKey) -> str:
    """All that a project's archives say."""
    content = [each.read_bytes() for each in files(store, key)]
    return b"".join(
        gzip.decompress(each) if each.startswith(b"\x1f\x8b") else each for each in content
    ).decode()


def chains(store: PostgresStore, key: RunKey) -> list[bytes]:
    """What stays of events in a project's archives."""
    return [each.read_bytes() for each in files(store, key) if each.name.startswith("chain-")]


async def everything(store: PostgresStore, tries: int = 1000) -> None:
    """Do all that the duty does."""
    for _ in range(tries):
        if not (await step(store) or await store.erasures.erase(ME)):
            return
    raise AssertionError("it does not end")


async def test_an_archived_run_is_restored_erased_and_archived_again(kept: PostgresStore) -> None:
    key = await ended(kept, "run", TO_ERASE, KEPT)
    whole = await pages(kept, key)
    await archived(kept, key)
    chain = chains(kept, key)
    assert SECRET in texts(kept, key)

    erasure = await asked_of(kept, f"{SECRET}-ann")
    blocked = await erasure_of(kept, erasure)
    await everything(kept)

    assert blocked.blockers == (Blocker("run", is_archived=True),)
    assert blocked.state is ErasureState.BLOCKED
    done = await erasure_of(kept, erasure)
    assert (done.runs, done.erased_events, done.blockers) == (1, 1, ())
    assert await state_of(kept, key) is ArchiveState.DONE
    assert chains(kept, key) == chain
    assert SECRET not in texts(kept, key)
    assert verify(files(kept, key)[0].parent).problems == []
    (page,) = await pages(kept, key, read_archive=True)
    assert [each.erased is not None for each in page.events] == [True, False, False]
    assert tuple(page.events[1:]) == tuple(whole[0].events[1:])
    found = (await kept.admin.list_records("p", limit=4, after=None)).items
    methods = ["ArchiveRun", "EraseSubject", "RestoreRun", "EraseSubject"]
    assert [each.act.method for each in found] == methods
    assert {each.act.resource for each in found[:3]} == {"runs/run"}
    assert {each.act.principal for each in found} == {ANN}
    about = f'{{"erasure_id": "{erasure.erasure_id}"}}'
    assert {each.act.request for each in found[:3]} == {about}


async def test_a_run_that_was_restored_before_is_not_archived_again(kept: PostgresStore) -> None:
    key = await ended(kept, "run", TO_ERASE, KEPT)
    await archived(kept, key)
    erasure = await asked(kept, key, 1)
    await restored(kept, key)

    await everything(kept)

    assert (await erasure_of(kept, erasure)).erased_events == 1
    assert files(kept, key) == []
    assert await is_whole(kept, key) == 1


async def test_a_run_that_is_held_meanwhile_stays_restored(kept: PostgresStore) -> None:
    key = await ended(kept, "run", TO_ERASE, KEPT)
    await archived(kept, key)
    await asked(kept, key, 1)
    while await state_of(kept, key) is not ArchiveState.RESTORED:
        assert await step(kept) or await kept.erasures.erase(ME)
    while not await is_whole(kept, key):
        assert await step(kept) or await kept.erasures.erase(ME)
    await kept.holds.place_hold(NewHold("p", "why", "run"), act("p", "PlaceHold"))

    await everything(kept)

    assert await state_of(kept, key) is ArchiveState.RESTORED
    assert await is_whole(kept, key) == 1


async def test_an_archive_that_was_changed_keeps_its_run_only(kept: PostgresStore) -> None:
    bad, good = await ended(kept, "bad", TO_ERASE), await ended(kept, "good", TO_ERASE)
    await archived(kept, bad)
    (path,) = (each for each in files(kept, bad) if each.name.startswith("sealed-"))
    await archived(kept, good)
    path.write_bytes(path.read_bytes()[:-1])
    erasure = await asked_of(kept, f"{SECRET}-ann")

    with pytest.raises(ArchiveInvalid):
        await everything(kept)

    found = await erasure_of(kept, erasure)
    assert (found.erased_events, found.blockers) == (1, (Blocker("bad", is_archived=True),))
    assert await state_of(kept, good) is ArchiveState.DONE


async def test_an_archive_of_erased_events_has_what_is_left(kept: PostgresStore) -> None:
    old = replace(TO_ERASE, event_id="e3", payload=Payload(f'"{SECRET}"', "application/json"))
    key = await ended(kept, "run", TO_ERASE, KEPT, old)
    await asked(kept, key, 1, 3)
    await erased(kept)
    before, rows = await pages(kept, key), await rows_of(kept, key)
    answer = await kept.append_events(key, [TO_ERASE])
    assert [each.erased is not None for each in before[0].events] == [True, False, True, False]

    await archived(kept, key)

    assert SECRET not in texts(kept, key)
    folder = files(kept, key)[0].parent
    assert verify(folder).problems == []
    assert await pages(kept, key, read_archive=True) == before
    checked = await kept.verify_run(key, from_seq=1, max_events=0, read_archive=True)
    assert (checked.problem, checked.erased_events) == ("", 2)
    assert await kept.append_events(key, [TO_ERASE]) == answer
    await restored(kept, key)
    assert (await pages(kept, key), await rows_of(kept, key)) == (before, rows)
    assert await is_whole(kept, key) == 2


async def test_the_archive_of_a_fork_blocks_what_it_shares(kept: PostgresStore) -> None:
    base = await ended(kept, "base", TO_ERASE, KEPT)
    fork = (await kept.fork_run(NewFork(base, 1, "fork"))).run.key
    await kept.append_events(fork, [replace(KEPT, event_id="own")])
    await completed(kept, fork)
    await relayed(kept)
    await archived(kept, fork)

    shared, own = await asked(kept, base, 1), await asked(kept, base, 2)
    await kept.erasures.erase(ME)

    assert (await erasure_of(kept, shared)).blockers == (Blocker("fork", is_archived=True),)
    assert (await erasure_of(kept, own)).erased_events == 1
    await everything(kept)
    assert (await erasure_of(kept, shared)).erased_events == 1
    assert await state_of(kept, fork) is ArchiveState.DONE
    assert SECRET not in texts(kept, fork)
    (page,) = await pages(kept, fork, read_archive=True)
    assert [each.erased is not None for each in page.events] == [True, False, False]


async def test_what_is_to_be_erased_is_before_files_are_written(kept: PostgresStore) -> None:
    key = await ended(kept, "run", TO_ERASE, KEPT)
    await decided(kept, key)
    erasure = await asked(kept, key, 1)

    assert await step(kept) == 0
    await erased(kept)
    await until(kept, key, ArchiveState.DONE)

    assert (await erasure_of(kept, erasure)).erased_events == 1
    assert SECRET not in texts(kept, key)


async def test_an_archive_that_was_begun_is_finished_first(kept: PostgresStore) -> None:
    key = await ended(kept, "run", TO_ERASE, KEPT)
    await decided(kept, key)
    await until(kept, key, ArchiveState.ARCHIVED)

    erasure = await asked(kept, key, 1)

    assert await erased(kept) == 0
    blocked = await erasure_of(kept, erasure)
    assert blocked.blockers == (Blocker("run", is_archived=True),)
    await until(kept, key, ArchiveState.DONE)
    await everything(kept)
    assert (await erasure_of(kept, erasure)).erased_events == 1
    assert SECRET not in texts(kept, key)


async def test_a_hold_of_an_archived_run_blocks_as_well(kept: PostgresStore) -> None:
    key = await ended(kept, "run", TO_ERASE)
    await archived(kept, key)
    placed, _ = await kept.holds.place_hold(NewHold("p", "why", "run"), act("p", "PlaceHold"))

    erasure = await asked(kept, key, 1)

    found = (await erasure_of(kept, erasure)).blockers
    assert found == (Blocker("run", is_archived=True), Blocker("run", placed.hold_id))
    await everything(kept)
    assert await state_of(kept, key) is ArchiveState.DONE


async def test_files_that_are_kept_for_backups_go_before_what_they_have_is_erased(
    kept: PostgresStore,
) -> None:
    key = await ended(kept, "run", TO_ERASE)
    await archived(kept, key)
    await restored(kept, key)
    await all_done(kept)
    assert SECRET in texts(kept, key)

    await asked(kept, key, 1)
    assert await erased(kept) == 0
    await all_done(kept)
    assert files(kept, key) == []
    await erased(kept)
    assert await is_whole(kept, key) == 1


async def test_a_subject_is_found_in_archived_events_and_after_a_restore(
    kept: PostgresStore,
) -> None:
    key = await ended(kept, "run", TO_ERASE, KEPT)
    async with kept._engine.connect() as conn:
        asked_for = system("SELECT subject, run, seq FROM subject_refs ORDER BY 1, 2, 3")
        before = [tuple(row) for row in await conn.execute(asked_for)]
        await archived(kept, key)
        while_archived = [tuple(row) for row in await conn.execute(asked_for)]
        await restored(kept, key)
        after = [tuple(row) for row in await conn.execute(asked_for)]
    assert before == while_archived == after
