"""What waiting for the relay waits for."""

from __future__ import annotations

import asyncio

from runstore_server.relay.relay import Relay
from runstore_storage.contract.events import Event
from runstore_storage.contract.feed import RELAY, SEARCH, STORED_BYTES, USAGE_COUNTS
from runstore_storage.contract.runs import NewRun
from runstore_storage.postgres import PostgresStore

ME = "me"


async def test_a_drain_waits_for_each_duty_whichever_process_does_it(own: PostgresStore) -> None:
    key = (await own.save_run(NewRun("p", "run"))).run.key
    for name in (RELAY, USAGE_COUNTS, STORED_BYTES, SEARCH):
        await own.feed.hold_duty(name, ME)
    await own.append_events(key, [Event("x")])
    draining = asyncio.create_task(Relay(own, poll_seconds=0.2).drain())

    steps = (own.feed.publish, own.feed.count_usage, own.feed.sum_stored, own.search.index_text)
    for step in steps:
        done, _ = await asyncio.wait([draining], timeout=0.3)
        assert not done, "there is something left to do"
        assert await step(ME)
        while await step(ME):
            pass

    async with asyncio.timeout(60):
        await draining


async def test_a_drain_waits_for_a_duty_that_no_process_has_taken_yet(own: PostgresStore) -> None:
    key = (await own.save_run(NewRun("p", "run"))).run.key
    await own.append_events(key, [Event("x")])
    steps = {
        RELAY: own.feed.publish,
        USAGE_COUNTS: own.feed.count_usage,
        STORED_BYTES: own.feed.sum_stored,
    }
    for name, step in steps.items():
        await own.feed.hold_duty(name, ME)
        while await step(ME):
            pass
    draining = asyncio.create_task(Relay(own, poll_seconds=0.2).drain())

    done, _ = await asyncio.wait([draining], timeout=0.3)
    assert not done, "nothing is searchable yet"
    await own.feed.hold_duty(SEARCH, ME)
    assert await own.search.index_text(ME) == 1

    async with asyncio.timeout(60):
        await draining
