"""Store.append_many keeps what its docstring says, also while large payloads are on their way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from conftest import make_store
from runstore_storage.contract.errors import RunNotFound, SeqConflict, StorageUnavailable
from runstore_storage.contract.events import Event, NewAppend
from runstore_storage.contract.heads import Guard, RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.payloads.objects import Objects
from runstore_storage.payloads.offloading import LargePayloads
from runstore_storage.postgres import PostgresStore

LARGE = Payload('"' + "x" * 3000 + '"')


class Gate:
    """An object store that keeps what it is given once the gate opens."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.opened = asyncio.Event()
        self.failure: Exception | None = None

    async def put(self, objects: Objects, *arguments: Any, **options: Any) -> Any:
        self.arrived.set()
        await self.opened.wait()
        if self.failure:
            raise self.failure
        return await PUT(objects, *arguments, **options)


PUT = Objects.put


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    made = Gate()

    async def put(objects: Objects, *arguments: Any, **options: Any) -> Any:
        return await made.put(objects, *arguments, **options)

    monkeypatch.setattr(Objects, "put", put)
    return made


@pytest.fixture
async def gated(own_schema: str, database_url: str, gate: Gate) -> AsyncIterator[PostgresStore]:
    large = LargePayloads(2000, to_objects=True)
    store = make_store(database_url, own_schema, large_payloads=large)
    for run_id in ("a", "b"):
        await store.save_run(NewRun("p", run_id))
    yield store
    gate.opened.set()
    await store.close()


def append(run_id: str, type_: str, payload: Payload | None = None) -> NewAppend:
    return NewAppend(RunKey("p", run_id), (Event(type_, payload=payload),))


async def types(store: PostgresStore, run_id: str) -> list[str]:
    page = await store.read_events(RunKey("p", run_id), 1, limit=100)
    return [each.event.type for each in page.events]


def seqs(answers: Sequence[Any]) -> list[Any]:
    return [answer[0].seq if isinstance(answer, tuple) else type(answer) for answer in answers]


async def test_nothing_is_asked_of_the_database_for_nothing(store: PostgresStore) -> None:
    assert await store.append_many([]) == []


async def test_each_append_has_its_answer_or_its_error(store: PostgresStore, project: str) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    events = (Event("x", event_id="e"), Event("y"))

    answers = await store.append_many(
        [
            NewAppend(key, events),
            NewAppend(RunKey(project, "nobody"), events),
            NewAppend(key, (Event("z"),), Guard(expected_seq=1)),
            NewAppend(key, (Event("z"),), Guard(expected_seq=2)),
        ]
    )

    assert seqs(answers) == [1, RunNotFound, SeqConflict, 3]
    assert isinstance(answers[0], tuple)
    assert [each.seq for each in answers[0]] == [1, 2]
    assert answers[0][0].event_id == "e"


async def test_only_the_run_of_a_large_payload_waits_for_it(
    gated: PostgresStore, gate: Gate
) -> None:
    appends = [append("a", "1"), append("a", "2", LARGE), append("a", "3"), append("b", "1")]
    answering = asyncio.create_task(gated.append_many(appends))
    await gate.arrived.wait()

    others = await gated.append_many([append("b", "2")])
    assert seqs(others) == [2]
    assert await types(gated, "a") == ["1"]

    gate.opened.set()
    assert seqs(await answering) == [1, 2, 3, 1]
    assert await types(gated, "a") == ["1", "2", "3"]


async def test_a_large_payload_that_is_lost_fails_only_its_append(
    gated: PostgresStore, gate: Gate
) -> None:
    gate.failure = StorageUnavailable("the object store")
    gate.opened.set()

    answers = await gated.append_many(
        [append("a", "1"), append("a", "2", LARGE), append("a", "3"), append("b", "1")]
    )

    assert seqs(answers) == [1, StorageUnavailable, 2, 1]


async def test_a_cancelled_caller_takes_back_what_waits_for_a_large_payload(
    gated: PostgresStore, gate: Gate
) -> None:
    appends = [append("a", "1"), append("a", "2", LARGE), append("a", "3"), append("b", "1")]
    answering = asyncio.create_task(gated.append_many(appends))
    await gate.arrived.wait()

    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    gate.opened.set()
    await gated.append_many([append("a", "later"), append("b", "later")])

    assert await types(gated, "a") == ["1", "later"]
    assert await types(gated, "b") == ["1", "later"]
