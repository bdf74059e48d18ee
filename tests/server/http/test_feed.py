"""The feed over HTTP: pages, a stream by position, and what operators see of it."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import httpx
import runstore
from runstore import NewEvent
from sse_client import Message, opened

FEED = "/api/v1/feed"


async def published(http: httpx.AsyncClient, count: int) -> dict[str, Any]:
    """The project's whole feed, as soon as it has so many entries."""
    async with asyncio.timeout(60):
        while True:
            page = (await http.get(FEED, params={"limit": 1000})).json()
            if len(page["entries"]) >= count:
                return page


def places(messages: Sequence[Message]) -> list[tuple[str, int]]:
    return [
        (message.value["run_id"], message.value["event"]["seq"])
        for message in messages
        if message.type == "message"
    ]


async def test_a_page_holds_entries_of_all_runs_in_order(http, client) -> None:
    for run_id in ("a", "b"):
        run = await client.save_run(run_id=run_id)
        await run.append_many([NewEvent("x", {"n": 1.0}), NewEvent("y")])

    page = await published(http, 4)

    assert [(e["run_id"], e["event"]["seq"]) for e in page["entries"]] == [
        *(("a", 1), ("a", 2)),
        *(("b", 1), ("b", 2)),
    ]
    assert page["next_position"] == page["last_position"] + 1
    second = (await http.get(FEED, params={"fromPosition": page["entries"][1]["position"]})).json()
    assert second["entries"] == page["entries"][1:]


async def test_entries_are_selected_by_type_tag_and_label(http, client) -> None:
    red = await client.save_run(run_id="red", labels={"team": "red"})
    await red.append_many([NewEvent("x", tags=["hot"]), NewEvent("y", tags=["hot"])])
    await (await client.save_run(run_id="blue")).append("x", tags=["hot"])
    await published(http, 3)

    found = (await http.get(FEED, params={"type": "x", "tag": "hot", "label": "team=red"})).json()

    assert [(e["run_id"], e["event"]["type"]) for e in found["entries"]] == [("red", "x")]


async def test_a_bad_parameter_is_named(http) -> None:
    for name, value in (("from_position", "-1"), ("label", "x"), ("limit", "1001")):
        answer = await http.get(FEED, params={name: value})
        assert answer.status_code == 400
        assert answer.json()["violations"][0]["field"].startswith(name)


async def test_a_reader_that_reconnects_gets_each_entry_once(
    http: httpx.AsyncClient, client: runstore.AsyncClient
) -> None:
    runs = [await client.save_run(run_id=f"run{number}") for number in range(5)]

    async def write() -> None:
        for _ in range(40):
            await asyncio.gather(*(run.append_many([NewEvent("x")] * 2) for run in runs))

    writing = asyncio.create_task(write())
    seen: list[Message] = []
    while len(places(seen)) < 400:
        last = seen[-1].last_event_id if seen else ""
        async with opened(http, FEED, last_event_id=last, heartbeat=0.5) as stream:
            for _ in range(random.randint(1, 60)):
                seen.append(await stream.next())
                if len(places(seen)) == 400:
                    break
    await writing

    page = await published(http, 400)
    assert places(seen) == [(e["run_id"], e["event"]["seq"]) for e in page["entries"]]


async def test_a_filter_that_matches_nothing_moves_the_last_event_id(http, client) -> None:
    run = await client.save_run(run_id="run")
    await run.append("x")
    page = await published(http, 1)
    position = page["entries"][0]["position"]

    async with opened(http, FEED, type="none", from_position=position, heartbeat=0.2) as stream:
        live = await stream.next()
        await run.append("x")
        position = (await published(http, 2))["entries"][1]["position"]
        reading = asyncio.create_task(stream.next())  # nothing is dispatched, ever
        async with asyncio.timeout(60):
            while int(stream.parser.last_event_id) < position:  # noqa: ASYNC110 - the parser's
                await asyncio.sleep(0.05)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    assert live.type == "caught_up"


async def test_a_draining_server_says_where_to_continue(own_server) -> None:
    async with own_server() as own:
        await (await own.client.save_run(run_id="run")).append("x")
        page = await published(own.http, 1)
        async with opened(own.http, FEED) as stream:
            await stream.until("caught_up")
            await own.app.drain()
            rest = await stream.rest()

    assert [message.type for message in rest] == ["draining"]
    assert rest[0].value["next_position"] > page["entries"][0]["position"]


async def test_metrics_show_the_relay(http, client) -> None:
    await (await client.save_run(run_id="run")).append("x")
    await published(http, 1)

    text = (await http.get("/metrics")).text

    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["runstore_feed_lag_events"]) >= 0
    assert float(values["runstore_feed_lag_seconds"]) >= 0
    assert float(values['runstore_duty_leader{duty="relay"}']) in (0, 1)
    assert float(values['runstore_duty_position{duty="relay"}']) > 0
    assert 'runstore_duty_entries_total{duty="relay"}' in values
