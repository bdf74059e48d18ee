"""From a commit to a receiver outside: in order, resumed, and given up where it must be."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import nats
import pytest
from conftest import make_store, server_environment
from e2e.test_cli import cli
from nats_server import NatsServer
from receiver import Receiver, Request, answer
from runstore_server.relay.relay import Relay
from runstore_server.settings import Settings
from runstore_storage.contract.events import Event
from runstore_storage.contract.feed import RELAY
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.database.statements import system
from runstore_storage.payloads.offloading import LargePayloads
from runstore_storage.postgres import PostgresStore


@asynccontextmanager
async def relaying(store: PostgresStore, **sink: object) -> AsyncIterator[Relay]:
    """A relay with one sink."""
    settings = Settings.model_validate({"sinks": [{"name": "out", **sink}]})
    relay = Relay(store, settings.sinks, poll_seconds=0.2)
    relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


def webhook(receiver: Receiver, **more: object) -> dict[str, object]:
    return {"kind": "webhook", "url": receiver.url, "timeout_seconds": 2, **more}


async def saved(store: PostgresStore, run_id: str, **born: object) -> RunKey:
    return (await store.save_run(NewRun("p", run_id, **born))).run.key


def places(receiver: Receiver) -> list[tuple[str, int]]:
    """(run, seq) of each request, in order of arrival."""
    bodies = [json.loads(request.body) for request in receiver.requests]
    return [(body["subject"], int(body["data"]["seq"])) for body in bodies]


async def settled(relay: Relay) -> None:
    async with asyncio.timeout(60):
        await relay.drain()


async def test_committed_events_arrive_in_order(own: PostgresStore, receiver: Receiver) -> None:
    keys = [await saved(own, f"run{number}") for number in range(5)]
    async with relaying(own, **webhook(receiver)) as relay:
        for _ in range(6):
            await asyncio.gather(*(own.append_events(key, [Event("x")] * 2) for key in keys))
        await settled(relay)

    for key in keys:
        seqs = [seq for run_id, seq in places(receiver) if run_id == key.run_id]
        assert seqs == list(range(1, 13))
    assert (await own.feed.lag(RELAY)).events == 0


async def test_a_new_process_resumes_where_the_last_one_stopped(
    own: PostgresStore, receiver: Receiver
) -> None:
    key = await saved(own, "run")
    async with relaying(own, **webhook(receiver)) as relay:
        await own.append_events(key, [Event("x")] * 3)
        await settled(relay)
    await own.append_events(key, [Event("y")] * 3)
    async with relaying(own, **webhook(receiver)) as relay:
        await settled(relay)

    assert places(receiver) == [("run", seq) for seq in range(1, 7)]


async def test_a_sink_gets_what_it_selects_and_counts_the_rest_as_done(
    own: PostgresStore, receiver: Receiver
) -> None:
    red, blue = [await saved(own, name, labels={"team": name}) for name in ("red", "blue")]
    other = (await own.save_run(NewRun("q", "other", labels={"team": "red"}))).run.key
    selected = {"project": "p", "types": ["x"], "tags": ["hot"], "labels": {"team": "red"}}
    hot = Event("x", tags=("hot",))
    async with relaying(own, **webhook(receiver, **selected)) as relay:
        await own.append_events(red, [hot, Event("y", tags=("hot",)), Event("x")])
        await own.append_events(blue, [hot])
        await own.append_events(other, [hot])
        await settled(relay)

    assert places(receiver) == [("red", 1)]


async def test_a_receiver_in_trouble_gets_everything_in_order_in_the_end(
    own: PostgresStore, receiver: Receiver
) -> None:
    replies: list[Callable[[Request], bytes | None]] = [
        lambda request: answer(204),
        lambda request: answer(500),
        lambda request: answer(429, Retry_After="0.1"),
        lambda request: answer(503, Retry_After="0"),
        lambda request: b"",
        lambda request: None,
    ]

    def reply(request: Request) -> bytes | None:
        return random.choices(replies, [20, 1, 1, 1, 1, 0.2])[0](request)

    receiver.reply = reply
    keys = [await saved(own, f"run{number}") for number in range(4)]
    async with relaying(own, **webhook(receiver, max_attempts=100, timeout_seconds=0.5)) as relay:
        for key in keys:
            await own.append_events(key, [Event("x")] * 15)
        await settled(relay)

    for key in keys:
        first: dict[int, None] = dict.fromkeys(
            seq for run_id, seq in places(receiver) if run_id == key.run_id
        )
        assert list(first) == list(range(1, 16))
    assert await own.feed.list_dead_letters("out", limit=10, after=0) == ()


async def test_an_event_refused_too_often_becomes_a_dead_letter_and_delivery_continues(
    own: PostgresStore, receiver: Receiver
) -> None:
    def refuse_bad(request: Request) -> bytes:
        return answer(400 if b'"type":"bad"' in request.body.replace(b" ", b"") else 204)

    receiver.reply = refuse_bad
    key = await saved(own, "run")
    async with relaying(own, **webhook(receiver, max_attempts=3)) as relay:
        await own.append_events(key, [Event("good"), Event("bad"), Event("good")])
        await settled(relay)

    (letter,) = await own.feed.list_dead_letters("out", limit=10, after=0)
    assert (letter.position, letter.attempts) == (2, 3)
    assert relay.buried == {"out": 1}
    assert "400" in letter.error
    assert places(receiver) == [("run", seq) for seq in (1, 2, 2, 2, 3)]


async def test_a_sink_that_is_down_slows_no_append_and_loses_no_place(
    own: PostgresStore, receiver: Receiver
) -> None:
    up = asyncio.Event()
    receiver.reply = lambda request: answer(204) if up.is_set() else answer(503)
    key = await saved(own, "run")
    async with relaying(own, **webhook(receiver, max_attempts=10_000)) as relay:
        await own.append_events(key, [Event("x")])
        await asyncio.wait_for(receiver.wait_for(2), 60)
        async with asyncio.timeout(60):
            for _ in range(50):
                await own.append_events(key, [Event("x")])
            await own.feed.drain()
        up.set()
        await settled(relay)

    assert list(dict.fromkeys(places(receiver))) == [("run", seq) for seq in range(1, 52)]


async def test_nats_stopped_and_started_in_the_middle_gets_every_event_once(
    own: PostgresStore, nats_server: NatsServer
) -> None:
    keys = [await saved(own, f"run{number}") for number in range(6)]
    async with relaying(own, kind="nats", servers=[nats_server.url]) as relay:
        for turn in range(4):
            await asyncio.gather(*(own.append_events(key, [Event("x")] * 10) for key in keys))
            if turn % 2:
                nats_server.start()
            else:
                nats_server.kill()
        await settled(relay)

    async with await nats.connect(nats_server.url) as connection:
        subscription = await connection.jetstream().subscribe("runstore.>", ordered_consumer=True)
        arrived = [await subscription.next_msg(timeout=60) for _ in range(240)]
    for key in keys:
        mine = [json.loads(message.data) for message in arrived]
        seqs = [int(each["data"]["seq"]) for each in mine if each["subject"] == key.run_id]
        assert seqs == list(range(1, 41))


async def test_an_event_whose_payload_is_lost_becomes_a_dead_letter(
    own_schema: str, receiver: Receiver, database_url: str
) -> None:
    store = make_store(database_url, own_schema, large_payloads=LargePayloads(100))
    key = await saved(store, "run")
    large = Payload(json.dumps("x" * 1000))
    await store.append_events(key, [Event("a", payload=large), Event("b")])
    async with store._engine.begin() as conn:
        await conn.execute(system("DELETE FROM blobs"))

    async with relaying(store, **webhook(receiver)) as relay:
        await settled(relay)
        letters = await store.feed.list_dead_letters("out", limit=9, after=0)
    await store.close()

    assert relay.buried == {"out": 1}
    assert places(receiver) == [("run", 2)]
    assert [(each.position, each.error) for each in letters] == [(1, "the payload is lost")]


@pytest.mark.parametrize("chosen", ["--all", "--id"])
@pytest.mark.slow
async def test_dead_letters_are_listed_and_replayed_by_command(
    own: PostgresStore, own_schema: str, receiver: Receiver, database_url: str, chosen: str
) -> None:
    receiver.reply = lambda request: answer(422)
    key = await saved(own, "run")
    async with relaying(own, **webhook(receiver, max_attempts=1)) as relay:
        await own.append_events(key, [Event("x"), Event("y")])
        await settled(relay)
    environment = server_environment(database_url, own_schema) | {
        "RUNSTORE_SINKS": json.dumps([{"name": "out", **webhook(receiver)}]),
    }

    async def run(*arguments: str, code: int = 0) -> str:
        return await asyncio.to_thread(cli, "sinks", *arguments, environment=environment, code=code)

    listed = list(map(json.loads, (await run("dead-letters", "out", "--json")).splitlines()))
    again = await run("replay", "out", "--all", code=4)
    receiver.reply = lambda request: answer(204)
    said = await run("replay", "out", chosen, *([str(listed[0]["id"])] if chosen == "--id" else []))
    standing = json.loads(await run("ls", "--json"))

    assert [(each["run_id"], each["seq"], each["attempts"]) for each in listed] == [
        ("run", 1, 1),
        ("run", 2, 1),
    ]
    assert "failed again" in again
    left = 0 if chosen == "--all" else 1
    assert f"delivered {2 - left}" in said
    assert (standing["position"], standing["dead_letters"]) == (2, left)
