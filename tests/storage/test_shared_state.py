"""What calls of several projects share: batches of appends, what is remembered, tails, queues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

import pytest
from conftest import objects_folder
from runstore_storage.contract.errors import RunNotFound
from runstore_storage.contract.events import EVERY_EVENT, AppendResult, Event, NewAppend
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.plain_events import PlainEvents
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.scope import NoScope, Scope, bound
from runstore_storage.contract.snapshots import Snapshot
from runstore_storage.payloads.objects import Objects, project_folder
from runstore_storage.payloads.offloading import LargePayloads
from runstore_storage.postgres import PostgresStore
from runstore_storage.writing.lanes import Append
from runstore_storage.writing.optimistic import Optimistic, Stored

T = TypeVar("T")

MINE, THEIRS = RunKey("mine", "run"), RunKey("theirs", "run")
LARGE = Payload('"' + "x" * 3000 + '"')
PLAIN = ("t",), (None,), (("", "", "", "", ""),)


async def within(project: str, answer: Callable[[], Awaitable[T]]) -> T:
    """What a call is answered that may touch one project."""
    with bound(Scope(project)):
        return await answer()


@pytest.fixture
async def store(database_url: str, own_schema: str) -> AsyncIterator[PostgresStore]:
    """A store as a server has it, with one lane, on which both projects have a run."""
    opened = PostgresStore(
        database_url,
        schema=own_schema,
        pool_size=4,
        append_lanes=1,
        poll_interval=3600,
        objects_url=objects_folder(own_schema).as_uri(),
        large_payloads=LargePayloads(1000, to_objects=True),
    )
    for key in (MINE, THEIRS):
        await within(key.project, lambda key=key: opened.save_run(NewRun(*_of(key))))
    yield opened
    await opened.close()


def _of(key: RunKey) -> tuple[str, str]:
    return key.project, key.run_id


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Of each batch, how many appends it had, and how many were stored as remembered."""
    found: list[tuple[int, int]] = []
    plain = Optimistic.append

    async def counted(self: Optimistic, batch: Sequence[Append]) -> Stored:
        stored = await plain(self, batch)
        found.append((len(batch), len(stored.results)))
        return stored

    monkeypatch.setattr(Optimistic, "append", counted)
    return found


def event(id_: str) -> Sequence[Event]:
    return [Event("t", id_, tags=("tag",))]


def plain_event(id_: str) -> Sequence[Event]:
    return PlainEvents([id_], *PLAIN)


async def appended(
    store: PostgresStore, project: str, key: RunKey, events: Sequence[Event]
) -> AppendResult | Exception:
    try:
        return await within(project, lambda: store.append_events(key, events))
    except RunNotFound as error:
        return error


async def ids(store: PostgresStore, key: RunKey) -> list[str]:
    page = await within(key.project, lambda: store.read_events(key, 1, limit=100))
    return [each.event.event_id for each in page.events]


@pytest.mark.parametrize("are_remembered", [True, False])
@pytest.mark.parametrize("made", [event, plain_event])
async def test_one_lying_append_of_a_batch_is_refused_and_no_other(
    store: PostgresStore,
    batches: list[tuple[int, int]],
    made: Callable[[str], Sequence[Event]],
    *,
    are_remembered: bool,
) -> None:
    for key in (MINE, THEIRS) if are_remembered else ():
        await appended(store, key.project, key, made("first"))
    batches.clear()

    answers = await asyncio.gather(
        appended(store, "mine", MINE, made("a")),
        appended(store, "mine", THEIRS, made("lie")),
        appended(store, "theirs", THEIRS, made("b")),
        appended(store, "theirs", MINE, made("another lie")),
        appended(store, "mine", MINE, made("c")),
    )

    assert batches == [(5, 3 if are_remembered else 0)]
    assert [isinstance(each, RunNotFound) for each in answers] == [False, True, False, True, False]
    before = ["first"] if are_remembered else []
    assert await ids(store, MINE) == [*before, "a", "c"]
    assert await ids(store, THEIRS) == [*before, "b"]


async def test_of_many_appends_those_to_another_project_find_no_run(store: PostgresStore) -> None:
    appends = [NewAppend(MINE, event("a")), NewAppend(THEIRS, event("b"))]

    (mine, theirs) = await within("mine", lambda: store.append_many(appends))

    assert mine[0].seq == 1
    assert isinstance(theirs, RunNotFound)
    assert await ids(store, THEIRS) == []


async def test_an_append_has_the_scope_of_its_own_call_and_not_of_the_lane(
    store: PostgresStore,
) -> None:
    await appended(store, "mine", MINE, event("a"))

    with pytest.raises(NoScope):
        await store.append_events(MINE, event("b"))
    with pytest.raises(NoScope):
        await store.append_many([NewAppend(MINE, event("b"))])

    assert await ids(store, MINE) == ["a"]


async def test_a_large_append_to_another_project_holds_up_nothing_and_leaves_nothing_there(
    store: PostgresStore, own_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, put, folder = asyncio.Event(), Objects.put, objects_folder(own_schema)

    async def gated(self: Objects, *arguments: object) -> None:
        await opened.wait()
        await put(self, *arguments)  # type: ignore[arg-type]  # as it is given

    monkeypatch.setattr(Objects, "put", gated)
    lying = asyncio.create_task(appended(store, "mine", THEIRS, [Event("t", "lie", LARGE)]))
    await asyncio.sleep(0)

    await appended(store, "theirs", THEIRS, event("a"))
    opened.set()

    assert isinstance(await lying, RunNotFound)
    assert await ids(store, THEIRS) == ["a"]
    kept = {each.relative_to(folder).parts[0] for each in folder.rglob("*.zst")}
    assert kept == {project_folder("mine")}


async def test_what_is_remembered_of_a_run_stays_where_another_project_asks_for_it(
    store: PostgresStore,
) -> None:
    remembered = store.put_snapshot.__self__._decisions._remembered._runs  # type: ignore[attr-defined]
    await within("theirs", lambda: store.put_snapshot(THEIRS, Snapshot(snapshot_id="first")))
    before = dict(remembered)

    with pytest.raises(RunNotFound):
        await within("mine", lambda: store.put_snapshot(THEIRS, Snapshot(snapshot_id="lie")))

    assert before
    assert remembered == before


async def test_a_tail_shows_another_project_nothing(store: PostgresStore) -> None:
    with bound(Scope("theirs")):
        theirs = store.open_tail(THEIRS)
    with bound(Scope("mine")):
        mine = store.open_tail(THEIRS)

    async with theirs as seen, mine as unseen:
        await seen.read(1, limit=10, where=EVERY_EVENT)
        mark = unseen.mark
        await appended(store, "theirs", THEIRS, event("a"))
        pages = [await each.read(1, limit=10, where=EVERY_EVENT) for each in (seen, unseen)]
        store.wake_all()
        pages += [await each.read(1, limit=10, where=EVERY_EVENT) for each in (seen, unseen)]

    assert [(len(each.events), each.last_seq) for each in pages] == [(1, 1), (0, 0)] * 2
    assert unseen.mark == mark + 1, "woken with all tails only"


async def test_a_tail_reads_what_its_run_has_whoever_asks(store: PostgresStore) -> None:
    await appended(store, "theirs", THEIRS, event("a"))
    with bound(Scope("theirs")):
        opening = store.open_tail(THEIRS)

    async with opening as tail:
        page = await within("mine", lambda: tail.read(1, limit=10, where=EVERY_EVENT))

    assert len(page.events) == 1
