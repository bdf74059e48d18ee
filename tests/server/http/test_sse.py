"""A run is followed over HTTP without a gap or a repetition, whatever happens to the connection."""

import asyncio
import random
from typing import Any

import httpx
import pytest
import runstore
from runstore_storage.contract.errors import StorageUnavailable
from sse_client import AS_STREAM, Message, Parser, opened, shown

EVENTS = "/api/v1/runs/run/events"
DISCONNECTS = 50
MANY = 5_000
OPEN_STREAMS = 'runstore_open_streams{kind="sse"} '


@pytest.fixture
async def run(client) -> runstore.AsyncRun:
    return await client.save_run(run_id="run")


def ticks(count: int) -> list[runstore.NewEvent]:
    return [runstore.NewEvent("tick") for _ in range(count)]


async def test_a_late_reader_gets_the_past_then_the_present_then_the_end(http, run) -> None:
    await run.append_many(ticks(3))
    async with opened(http, EVENTS) as stream:
        past = await stream.until("caught_up")

        await run.append_many(ticks(2))
        await run.complete()

        rest = await stream.rest()
    assert shown(past) == [1, 2, 3, "caught_up"]
    assert shown(rest) == [4, 5, 6, "end"]
    assert [message.last_event_id for message in rest] == ["4", "5", "6", "end"]
    assert rest[-1].value == {"last_seq": 6, "outcome": "succeeded"}
    assert stream.parser.retry


async def test_the_headers_keep_proxies_from_holding_the_stream_back(http, run) -> None:
    async with opened(http, EVENTS, follow=False) as stream:
        headers = stream.response.headers

    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache"
    assert headers["x-accel-buffering"] == "no"


async def test_a_stream_that_does_not_follow_ends_at_the_current_end(http, run) -> None:
    await run.append_many(ticks(3))

    async def all_of(**query: Any) -> list[int | str]:
        async with opened(http, EVENTS, follow=False, **query) as stream:
            return shown(await stream.rest())

    assert await all_of() == [1, 2, 3, "caught_up"]
    assert await all_of(fromSeq=2) == [2, 3, "caught_up"]
    assert await all_of(from_seq=9) == ["caught_up"]
    await run.complete()
    assert await all_of(from_seq=4) == [4, "end"]


async def test_the_last_event_id_wins_over_from_seq(http, run) -> None:
    await run.append_many(ticks(5))

    async with opened(http, EVENTS, last_event_id="3", fromSeq=1, follow=False) as stream:
        assert shown(await stream.rest()) == [4, 5, "caught_up"]


@pytest.mark.parametrize("odd", ["x", "-1", "1.5", str(2**63), "9" * 100, "²"])
async def test_an_id_that_no_message_has_is_refused(http, run, odd) -> None:
    headers = AS_STREAM | {"Last-Event-ID": odd.encode()}

    answer = await http.get(EVENTS, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["violations"][0]["field"] == "Last-Event-ID"


async def test_a_client_that_has_seen_the_end_is_told_not_to_reconnect(http, run) -> None:
    headers = AS_STREAM | {"Last-Event-ID": "end"}
    early = await http.get(EVENTS, headers=headers)
    await run.complete()

    late = await http.get(EVENTS, headers=headers)

    assert early.status_code == 400
    assert (late.status_code, late.content) == (204, b"")


async def test_an_unknown_run_is_a_problem_and_no_stream(http) -> None:
    answer = await http.get(EVENTS, headers=AS_STREAM)

    assert (answer.status_code, answer.json()["reason"]) == (404, "RUN_NOT_FOUND")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json, text/event-stream;q=0.5", "text/event-stream"),
        ("Text/Event-Stream", "text/event-stream"),
        ("*/*", "application/json"),
        ("text/*", "application/json"),
    ],
)
async def test_only_a_client_that_names_the_media_type_gets_a_stream(
    http, run, accept, kind
) -> None:
    await run.complete()

    answer = await http.get(EVENTS, headers={"Accept": accept})

    assert answer.headers["content-type"].startswith(kind)


async def test_a_filter_selects_and_the_id_still_advances(http, run) -> None:
    await run.append_many([runstore.NewEvent("a"), runstore.NewEvent("b")] * 2)
    async with opened(http, EVENTS, type="b", heartbeat=0.1) as stream:
        past = await stream.until("caught_up")
        await run.append_many([runstore.NewEvent("a") for _ in range(5)])
        await until_told(stream, "9")
        await run.complete()
        rest = await stream.rest()

    assert shown(past) == [2, 4, "caught_up"]
    assert shown(rest) == ["end"]
    async with opened(http, EVENTS, type="nothing", follow=False) as stream:
        assert shown(await stream.rest()) == ["end"]


async def until_told(stream, last_event_id: str) -> None:
    """Read until a reconnect would say so; nothing may be dispatched on the way."""
    async with asyncio.timeout(60):
        reading = asyncio.ensure_future(stream.next())
        while stream.parser.last_event_id != last_event_id:
            done, _ = await asyncio.wait([reading], timeout=0.01)
            assert not done
        # The iterator belongs to the task: give what it reads next back.
        stream._messages = _after(reading, stream._messages)


async def _after(first, rest):
    yield await first
    async for message in rest:
        yield message


async def test_a_reader_continues_after_progress_without_events(http, run) -> None:
    await run.append_many(ticks(4))

    async with opened(http, EVENTS, type="nothing", follow=False) as stream:
        (caught_up,) = await stream.rest()

    assert (caught_up.type, caught_up.last_event_id) == ("caught_up", "4")


async def test_a_client_that_waits_for_a_later_seq_is_not_sent_back(http, run) -> None:
    await run.append_many(ticks(2))
    async with opened(http, EVENTS, from_seq=4, heartbeat=0.1) as stream:
        (caught_up,) = await stream.until("caught_up")
        await run.append_many(ticks(3))

        message = await stream.next()

    assert caught_up.last_event_id == "", "2 would bring the reader 3 on its next attempt"
    assert (message.value["seq"], message.last_event_id) == (4, "4")


async def test_silence_is_broken_by_comments(http, run) -> None:
    await run.append_many(ticks(2))
    async with opened(http, EVENTS, heartbeat=0.1) as stream:
        await stream.until("caught_up")
        waiting = asyncio.ensure_future(stream.rest())
        async with asyncio.timeout(60):
            while len(stream.parser.comments) < 3:
                await asyncio.wait([waiting], timeout=0.01)
        await run.complete()
        rest = await waiting

    assert set(stream.parser.comments) == {"heartbeat 2"}
    assert shown(rest) == [3, "end"]


async def test_a_busy_run_that_is_not_selected_does_not_keep_a_stream_silent(http, run) -> None:
    async with opened(http, EVENTS, type="nothing", heartbeat=0.1) as stream:
        await stream.until("caught_up")
        waiting = asyncio.ensure_future(stream.rest())
        async with asyncio.timeout(60):
            while len(stream.parser.comments) < 3:
                await run.append_many(ticks(1))
        await run.complete()
        await waiting

    counts = [int(comment.split()[1]) for comment in stream.parser.comments]
    assert counts == sorted(counts)


async def test_100_streams_of_one_run_all_see_all_of_it(http, run) -> None:
    async def watch() -> list[int | str]:
        async with opened(http, EVENTS) as stream:
            return shown(await stream.rest())

    watching = [asyncio.create_task(watch()) for _ in range(100)]
    for _ in range(10):
        await run.append_many(ticks(5))
    await run.complete()

    for seen in await asyncio.gather(*watching):
        assert [mark for mark in seen if mark != "caught_up"] == [*range(1, 52), "end"]


PAYLOADS = [
    '{"b":1.0,"a":[]}',
    '{\n  "a" :\n1e2 }\n',
    '"\\u0000 ü 漢 😀 \u2028"',
    "[9223372036854775808]",
    '{"a":1,"a":2}',
    '"' + "x" * 3000 + '"',
]


class Reader:
    """Reads a stream in pieces, as an EventSource whose connection is cut again and again."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.messages: list[Message] = []
        self.cuts = 0

    @property
    def last_event_id(self) -> str:
        return self.messages[-1].last_event_id if self.messages else ""

    async def read(self, most: int | None) -> None:
        """Read until about `most` more messages came, and cut the connection in the middle."""
        headers = AS_STREAM | ({"Last-Event-ID": self.last_event_id} if self.messages else {})
        wanted = None if most is None else len(self.messages) + most
        parser = Parser(last_event_id=self.last_event_id)
        async with self._http.stream(
            "GET", EVENTS, headers=headers, params={"fromSeq": 1}
        ) as response:
            assert response.status_code == 200
            async for data in response.aiter_raw():
                cut = wanted is not None and len(self.messages) >= wanted
                self.messages += parser.feed(data[: random.randrange(len(data))] if cut else data)
                if cut:
                    self.cuts += 1
                    return


async def test_50_cuts_in_a_run_of_5000_events_lose_and_repeat_nothing(http, client, run) -> None:
    async def write() -> None:
        left = MANY
        while left:
            count = min(left, random.randint(1, 40))
            left -= count
            await run.append_many(
                [
                    runstore.NewEvent("tick", runstore.Payload(random.choice(PAYLOADS)))
                    for _ in range(count)
                ]
            )
        await run.complete()

    writing, reader = asyncio.create_task(write()), Reader(http)
    while reader.cuts < DISCONNECTS:
        await reader.read(random.randint(1, 100))
    assert reader.last_event_id != "end"
    await reader.read(None)
    await writing

    events = [event async for event in run.events()]
    seen = [message for message in reader.messages if message.type == "message"]
    assert [message.value["seq"] for message in seen] == [event.seq for event in events]
    assert len(events) == MANY + 1
    for message, event in zip(seen, events, strict=True):
        assert event.payload
        assert f'"payload":{{"json":{event.payload.content},"content_type":""}}' in message.data
        assert message.value["hash"] == event.hash.hex()
        assert message.last_event_id == str(event.seq)
    assert reader.messages[-1].type == "end"


async def raw_reader(address: str, project: str) -> tuple[asyncio.StreamReader, Any]:
    """A connection that has asked for the stream, and reads no more than it is told to."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    request = f"GET {EVENTS}?project={project} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
    writer.write(f"{request}\r\n".encode())
    await reader.readuntil(b"event: caught_up")
    return reader, writer


async def test_a_reader_that_stops_reading_costs_bounded_memory(own_server, project) -> None:
    async with own_server(drain_seconds=0.5) as own:
        run = await own.client.save_run(run_id="run")
        reader, writer = await raw_reader(own.app.http_address, project)
        connection = next(
            each
            for each in own.app._http._uvicorn.server_state.connections
            if each.client == writer.get_extra_info("sockname")
        )
        held = []
        for _ in range(60):
            await run.append("big", "x" * (1 << 20))
            held.append(connection.transport.get_write_buffer_size())

        assert max(held) < 3 << 20, "60 MB were appended"
        assert held[-1] > 0, "the reader is behind"
        await run.complete()
        data = bytearray()
        while chunk := await reader.read(1 << 20):
            data += chunk
            if b"event: end" in data[-200:]:
                break
        assert data.count(b"\nid: ") == 62  # 60 events, run.completed and the end
        writer.close()


async def test_a_reader_that_never_reads_does_not_hold_up_the_server(own_server, project) -> None:
    async with own_server(drain_seconds=0.5) as own:
        run = await own.client.save_run(run_id="run")
        _, writer = await raw_reader(own.app.http_address, project)
        for _ in range(30):
            await run.append("big", "x" * (1 << 20))

        await asyncio.wait_for(own.app.drain(), 60)

        writer.close()


async def test_a_reader_that_leaves_leaves_the_tail(own_server) -> None:
    async with own_server() as own:
        run = await own.client.save_run(run_id="run")
        async with opened(own.http, EVENTS) as stream:
            await stream.until("caught_up")
            assert own.store._tails._open
            assert OPEN_STREAMS + "1.0" in (await own.http.get("/metrics")).text

        async with asyncio.timeout(60):
            while own.store._tails._open:
                await own.http.get("/livez")
        assert OPEN_STREAMS + "0.0" in (await own.http.get("/metrics")).text
        await run.complete()


async def test_a_draining_server_sends_its_readers_away(own_server) -> None:
    async with own_server(drain_seconds=300) as own:
        run = await own.client.save_run(run_id="run")
        await run.append_many(ticks(3))
        async with opened(own.http, EVENTS) as stream:
            await stream.until("caught_up")
            draining = asyncio.create_task(own.app.drain())
            rest = await stream.rest()
            # Who comes back at once must not find the server that sends it away.
            with pytest.raises(httpx.ConnectError):
                await own.http.get("/livez")

        assert shown(rest) == ["draining"]
        assert rest[0].last_event_id == "3"
        assert stream.parser.retry == 1000
        await asyncio.wait_for(draining, 60)


async def test_a_failure_in_the_middle_is_a_message_and_the_end(own_server) -> None:
    async with own_server() as own:
        await own.client.save_run(run_id="run")

        async def failing(*_: object, **__: object) -> None:
            raise StorageUnavailable

        async with opened(own.http, EVENTS) as stream:
            await stream.until("caught_up")
            own.store._tails._open[next(iter(own.store._tails._open))]._read_events = failing
            own.store.wake_all()  # as a commit of another process does
            (problem,) = await stream.rest()

    assert problem.type == "problem"
    assert problem.value["reason"] == "STORAGE_UNAVAILABLE"
    assert problem.value["status"] == 503
