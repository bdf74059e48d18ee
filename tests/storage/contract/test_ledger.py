"""The ledger: what was erased and deleted is written down, and done again where it is not so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from runstore_storage import chain
from runstore_storage.contract.access import Principal, PrincipalKind
from runstore_storage.contract.erasures import Seqs
from runstore_storage.contract.errors import RunNotFound
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.ledger import Applied, LedgerEntry
from runstore_storage.contract.runs import NewFork
from runstore_storage.erasures import ledger
from runstore_storage.postgres import PostgresStore
from storage.contract.test_erasures import (
    KEPT,
    SECRET,
    TO_ERASE,
    asked,
    asked_of,
    ended,
    erased,
    is_whole,
)
from storage.contract.test_removals import completed, deleted, kept, relayed, removed, saved

__all__ = ["kept"]

WHO = Principal(PrincipalKind.DATABASE, "ops")


async def written(store: PostgresStore) -> list[LedgerEntry]:
    return [each async for each in store.ledger.entries()]


async def birth(store: PostgresStore, key: RunKey) -> bytes:
    return chain.birth_hash((await store.get_run(key)).born)


async def test_it_has_what_was_erased_and_deleted_and_names_nobody(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PAGE", 1)
    events = [replace(TO_ERASE, event_id=f"e{n}") for n in range(5)]
    one, two = await ended(kept, "one", *events), await ended(kept, "two", TO_ERASE, KEPT)
    gone, gone_too = await ended(kept, "gone", TO_ERASE), await ended(kept, "gone too", KEPT)
    births = {key: await birth(kept, key) for key in (one, two, gone, gone_too)}
    await ended(kept, "kept", KEPT)
    await asked(kept, one, 1, 2, 4)
    await asked_of(kept, f"{SECRET}-nobody")
    await erased(kept)
    await asked_of(kept, f"{SECRET}-ann")
    for key in (gone, gone_too):
        await deleted(kept, key)
    await removed(kept)
    await erased(kept)

    found = await written(kept)

    assert [(each.key.run_id, each.is_deleted) for each in found] == [
        *(("gone", True), ("gone too", True)),
        *(("one", False), ("two", False)),
    ]
    assert [each.erased for each in found[2:]] == [(Seqs(1, 5),), (Seqs(1, 1),)]
    assert {each.key: each.birth for each in found} == births
    assert SECRET not in repr(found)


async def test_what_is_so_is_left_as_it_is(kept: PostgresStore) -> None:
    key, gone = await ended(kept, "run", TO_ERASE), await ended(kept, "gone", KEPT)
    await asked(kept, key, 1)
    await deleted(kept, gone)
    await removed(kept)
    await erased(kept)
    records = (await kept.admin.list_records("p", limit=99, after=None)).items

    found = [await kept.ledger.apply(each, WHO) for each in await written(kept)]

    assert found == [Applied.DONE] * 2
    assert (await kept.admin.list_records("p", limit=99, after=None)).items == records


async def test_what_is_not_so_is_done_again(kept: PostgresStore) -> None:
    key, gone = await ended(kept, "run", TO_ERASE, KEPT), await ended(kept, "gone", KEPT)
    entries = [
        LedgerEntry(gone, await birth(kept, gone)),
        LedgerEntry(key, await birth(kept, key), (Seqs(1, 1), Seqs(7, 9))),
    ]

    first = [await kept.ledger.apply(each, WHO) for each in entries]
    again = [await kept.ledger.apply(each, WHO) for each in entries]
    await removed(kept)
    await erased(kept)
    after = [await kept.ledger.apply(each, WHO) for each in entries]

    assert first == [Applied.ASKED] * 2
    assert again == [Applied.DONE, Applied.ASKED]
    assert after == [Applied.DONE] * 2
    assert await is_whole(kept, key) == 1
    with pytest.raises(RunNotFound):
        await kept.get_run(gone)
    records = (await kept.admin.list_records("p", limit=99, after=None)).items
    assert {each.act.principal for each in records} == {WHO}
    assert len(records) == 3


async def test_events_that_are_not_there_are_not_erased_when_they_come(kept: PostgresStore) -> None:
    key = await saved(kept, "run")
    await kept.append_events(key, [TO_ERASE])
    entry = LedgerEntry(key, await birth(kept, key), (Seqs(1, 2),))

    assert await kept.ledger.apply(entry, WHO) is Applied.REFUSED
    await kept.append_events(key, [KEPT])
    await completed(kept, key)
    await relayed(kept)
    await erased(kept)

    assert await is_whole(kept, key) == 1


async def test_another_run_of_the_same_id_is_left_alone(kept: PostgresStore) -> None:
    key = await ended(kept, "run", TO_ERASE)
    others = [LedgerEntry(key, bytes(32)), LedgerEntry(key, bytes(32), (Seqs(1, 1),))]

    assert [await kept.ledger.apply(each, WHO) for each in others] == [Applied.DONE] * 2
    assert await is_whole(kept, key) == 0


async def test_a_run_that_must_stay_is_refused(kept: PostgresStore) -> None:
    running, base = await saved(kept, "open"), await ended(kept, "base", KEPT)
    await kept.fork_run(NewFork(base, 1, "fork"))
    entries = [LedgerEntry(key, await birth(kept, key)) for key in (running, base)]

    assert [await kept.ledger.apply(each, WHO) for each in entries] == [Applied.REFUSED] * 2
    assert await kept.get_run(base)
