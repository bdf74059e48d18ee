"""What rows hold beside plain columns is written as ever: what is stored today is read later."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from conftest import make_store
from runstore_storage.contract.configs import ConfigRef
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import ExternalRef, NewFork, NewRun
from runstore_storage.contract.snapshots import Snapshot
from runstore_storage.contract.times import microseconds
from runstore_storage.database.statements import system
from runstore_storage.payloads.offloading import LargePayloads
from runstore_storage.postgres import PostgresStore

DIGEST = "sha256:" + "0" * 64


async def rows(store: PostgresStore, query: str) -> list[tuple[Any, ...]]:
    async with store._engine.connect() as conn:
        return [tuple(row) for row in await conn.execute(system(query))]


async def test_the_answers_to_requests_are_kept_as_ever(own: PostgresStore) -> None:
    key = (await own.save_run(NewRun("p", "run"))).run.key
    await own.append_events(key, [Event("x")])
    named = await own.put_snapshot(key, Snapshot(namespace="n", snapshot_id="one"))
    asked = await own.put_snapshot(key, Snapshot(), request_id="two")
    await own.resume_run(key, namespace="", request_id="three", actor="", limit=1)

    found = await rows(own, "SELECT request_id, answer::text FROM requests ORDER BY request_id")

    answers = [
        {
            "snapshot_id": put.snapshot_id,
            "seq": 1,
            "content_hash": put.content_hash.hex(),
            "created_at": put.created_at.isoformat(),
            "last_seq": 1,
        }
        for put in (asked, named)
    ]
    assert {name: json.loads(answer) for name, answer in found} == {
        "put_snapshot:two": answers[0],
        "snapshot:n/one": answers[1],
        "resume:three": {"writer_epoch": 2},
    }


async def test_what_a_run_is_born_with_is_kept_as_ever(own: PostgresStore) -> None:
    new = NewRun(
        "p",
        "run",
        external_ref=ExternalRef("temporal", "id", "https://t", owns_status=True),
        config_refs=(ConfigRef("prompt", "name", 3, DIGEST),),
        labels={"a": "b"},
    )
    await own.save_run(new)

    found = await rows(
        own, "SELECT external_ref::text, config_refs::text, labels::text, tags FROM runs"
    )

    assert [[json.loads(text) for text in row[:3]] for row in found] == [
        [["temporal", "id", "https://t", True], [["prompt", "name", 3, DIGEST]], {"a": "b"}]
    ]


async def test_the_history_of_a_fork_is_kept_as_ever(own: PostgresStore) -> None:
    key = (await own.save_run(NewRun("p", "run"))).run.key
    await own.append_events(key, [Event("x"), Event("y")])
    at = (await own.read_events(key, 2, limit=1)).events[0].recorded_at
    middle = (await own.fork_run(NewFork(key, 1, "middle"))).run.key
    await own.fork_run(NewFork(middle, 1, "fork"))

    found = await rows(
        own, "SELECT run_id, run, lineage::text FROM runs WHERE lineage IS NOT NULL ORDER BY run"
    )

    (_, number, one), (_, _, two) = found
    first = number - 1
    lineages = [json.loads(one), json.loads(two)]
    assert [[each[:2] + each[3:] for each in lineage] for lineage in lineages] == [
        [[first, 1, True]],
        [[first, 1, True], [number, 1, True]],
    ]
    assert all(each[2] >= microseconds(at) for lineage in lineages for each in lineage)


async def test_a_large_payload_is_kept_under_its_name(database_url: str, own_schema: str) -> None:
    store = make_store(database_url, own_schema, large_payloads=LargePayloads(100, to_objects=True))
    try:
        key: RunKey = (await store.save_run(NewRun("p", "run"))).run.key
        payload = Payload(b"x" * 200)
        await store.append_events(key, [Event("x", payload=payload)])

        found = await rows(store, "SELECT sha256, location FROM blobs")
    finally:
        await store.close()

    name = b"payload:" + sha256(payload.data).digest()
    folder = f"{sha256(b'p').hexdigest()[:32]}/runs/{sha256(b'run').hexdigest()[:32]}"
    assert found == [(name, f"{folder}/payloads/{name.hex()}.zst")]
