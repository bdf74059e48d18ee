"""Events arrive in a JetStream stream: all, in order within runs, each once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import unquote

import nats
import pytest
import pytest_asyncio
from entries import entry, interleaved
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamConfig
from nats_server import NatsServer
from runstore_server.sinks import nats_link
from runstore_server.sinks.cloud_events import cloud_event
from runstore_server.sinks.jetstream import JetStreamSink
from runstore_server.sinks.nats_link import ANSWER_SECONDS, CLOSE_SECONDS, CONNECT_SECONDS
from runstore_server.sinks.settings import NatsSinkSettings
from runstore_server.sinks.sink import Undelivered
from runstore_server.sinks.subjects import subject_of
from runstore_storage.contract.events import Event
from runstore_storage.contract.payloads import Payload
from server.sinks.retrying import deliver_until_taken

Open = Callable[..., JetStreamSink]
LONG = "漢" * 200


@pytest_asyncio.fixture
async def open_jetstream(nats_server: NatsServer) -> AsyncIterator[Open]:
    """Opens sinks on the server, with further settings; they are closed afterwards."""
    async with AsyncExitStack() as stack:

        def opened(**more: object) -> JetStreamSink:
            settings = {"kind": "nats", "name": "bus", "servers": [nats_server.url], **more}
            sink = JetStreamSink(NatsSinkSettings.model_validate(settings))
            stack.push_async_callback(sink.close)
            return sink

        yield opened


@asynccontextmanager
async def connected(server: NatsServer) -> AsyncIterator[Client]:
    """A client of the test's own."""
    client = await nats.connect(server.url, allow_reconnect=False)
    try:
        yield client
    finally:
        await client.close()


async def stored(server: NatsServer, stream: str = "RUNSTORE") -> list[Msg]:
    """All messages of a stream, in its order."""
    async with connected(server) as client:
        jetstream = client.jetstream()
        count = (await jetstream.stream_info(stream)).state.messages
        subscription = await jetstream.subscribe("runstore.>", stream=stream, ordered_consumer=True)
        return [await subscription.next_msg(timeout=60) for _ in range(count)]


def seqs_by_run(messages: list[Msg]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for message in messages:
        assert message.headers
        found.setdefault(message.headers["Runstore-Run-Id"], []).append(
            int(message.headers["Runstore-Seq"])
        )
    return found


async def outcome(sink: JetStreamSink, **more: object) -> Undelivered | None:
    [found] = await sink.deliver([entry(**more)])
    return found


async def test_a_message_has_subject_headers_and_the_format_of_all_sinks(
    open_jetstream, nats_server
) -> None:
    given = entry(7, project="acme/é", run_id="run 1.2", event=Event("tool.called", "e 1"))

    [failure] = await open_jetstream().deliver([given])

    [message] = await stored(nats_server)
    assert failure is None
    assert message.subject == subject_of("runstore", given)
    assert message.data == cloud_event(given)
    assert message.headers
    assert {name: unquote(value) for name, value in message.headers.items()} == {
        "Nats-Msg-Id": given.recorded.hash.hex(),
        "Nats-Expected-Stream": "RUNSTORE",
        "Content-Type": "application/cloudevents+json",
        "Runstore-Position": "7",
        "Runstore-Project": "acme/é",
        "Runstore-Run-Id": "run 1.2",
        "Runstore-Seq": "7",
        "Runstore-Type": "tool.called",
        "Runstore-Event-Id": "e 1",
        "Runstore-Recorded-At": json.loads(message.data)["time"],
    }


@pytest.mark.parametrize("text", ["a.b.c", "*", ">", " ", "\t\r\n", "%", "😀", "\u2028", LONG])
async def test_any_text_can_be_a_subject(open_jetstream, nats_server, text: str) -> None:
    failure = await outcome(
        open_jetstream(), project=text, run_id=text, event=Event(type=text, event_id=text)
    )

    [message] = await stored(nats_server)
    assert failure is None
    assert [unquote(token) for token in message.subject.split(".")] == ["runstore", *[text] * 3]
    assert message.headers
    assert unquote(message.headers["Runstore-Event-Id"]) == text


async def test_an_event_published_twice_is_stored_once(open_jetstream, nats_server) -> None:
    entries = interleaved(3, 4)

    await open_jetstream().deliver(entries)
    again = await open_jetstream().deliver(entries)

    assert again == [None] * 12
    assert seqs_by_run(await stored(nats_server)) == {
        f"run-{run}": [1, 2, 3, 4] for run in range(3)
    }


async def test_the_stream_is_created_once_with_its_duplicate_window(
    open_jetstream, nats_server
) -> None:
    sinks = [open_jetstream(duplicate_window_seconds=77) for _ in range(4)]

    found = await asyncio.gather(*map(outcome, sinks))

    async with connected(nats_server) as client:
        config = (await client.jetstream().stream_info("RUNSTORE")).config
    assert found == [None] * 4
    assert config.subjects == ["runstore.>"]
    assert config.duplicate_window == 77


async def test_an_existing_stream_is_left_as_it_is(open_jetstream, nats_server) -> None:
    async with connected(nats_server) as client:
        await client.jetstream().add_stream(name="RUNSTORE", subjects=["runstore.>"])

        failure = await outcome(open_jetstream(duplicate_window_seconds=99))

        config = (await client.jetstream().stream_info("RUNSTORE")).config
    assert failure is None
    assert config.duplicate_window == 120


async def test_a_missing_stream_that_must_not_be_created_is_named(open_jetstream) -> None:
    failure = await outcome(open_jetstream(create_stream=False))

    assert str(failure) == "NATS has no stream RUNSTORE"
    assert failure
    assert not failure.is_attempted


async def test_a_stream_of_other_subjects_is_a_clear_error(open_jetstream, nats_server) -> None:
    async with connected(nats_server) as client:
        await client.jetstream().add_stream(name="RUNSTORE", subjects=["orders.>", "other"])

    failure = await outcome(open_jetstream())

    assert str(failure) == "the stream RUNSTORE stores orders.>, other but not runstore.*.*.*"


async def test_a_stream_that_does_not_acknowledge_is_a_clear_error(
    open_jetstream, nats_server
) -> None:
    async with connected(nats_server) as client:
        await client.jetstream().add_stream(name="RUNSTORE", subjects=["runstore.>"], no_ack=True)

    failure = await outcome(open_jetstream())

    assert str(failure) == "the stream RUNSTORE does not acknowledge messages (no_ack)"


async def test_subjects_that_another_stream_stores_are_a_clear_error(
    open_jetstream, nats_server
) -> None:
    async with connected(nats_server) as client:
        await client.jetstream().add_stream(name="OTHER", subjects=["runstore.acme.>"])

    failure = await outcome(open_jetstream())

    assert str(failure) == (
        "the stream RUNSTORE cannot be created: subjects overlap with an existing stream"
    )


async def test_a_deleted_stream_is_created_again(open_jetstream, nats_server) -> None:
    sink = open_jetstream()
    await outcome(sink)
    async with connected(nats_server) as client:
        await client.jetstream().delete_stream("RUNSTORE")

    lost = await outcome(sink, position=2)
    found = await outcome(sink, position=2)

    assert str(lost).startswith("no stream answers for runstore.")
    assert found is None


async def test_an_event_larger_than_the_server_takes_is_final_and_holds_up_no_other_run(
    open_jetstream, nats_server
) -> None:
    large = Event(type="t", payload=Payload(b"x" * (1 << 20)))

    found = await open_jetstream().deliver(
        [entry(1, run_id="a", event=large), entry(2, run_id="b")]
    )

    assert found[0]
    assert found[0].is_final
    assert found[0].is_refusal
    assert "1048576 that NATS accepts" in str(found[0])
    assert found[1] is None


async def test_a_message_of_exactly_the_largest_size_is_taken(open_jetstream, nats_server) -> None:
    sink, size = open_jetstream(), 1 << 20

    def sized(payload_bytes: int) -> Event:
        return Event(type="t", payload=Payload('"' + "x" * payload_bytes + '"'))

    too_large = await outcome(sink, event=sized(size))
    assert too_large
    over = int(str(too_large).split(" has ")[1].split(" bytes")[0]) - size

    assert await outcome(sink, event=sized(size - over)) is None
    assert (await outcome(sink, event=sized(size - over + 1))).is_final  # type: ignore[union-attr]


async def test_a_stream_with_a_smaller_limit_refuses_for_good(open_jetstream, nats_server) -> None:
    async with connected(nats_server) as client:
        config = StreamConfig(name="RUNSTORE", subjects=["runstore.>"], max_msg_size=100)
        await client.jetstream().add_stream(config)

    failure = await outcome(open_jetstream())

    assert failure
    assert failure.is_final
    assert "the stream refused the event: message size exceeds" in str(failure)


async def test_a_stream_that_is_full_refuses_for_now(open_jetstream, nats_server) -> None:
    async with connected(nats_server) as client:
        config = StreamConfig(name="RUNSTORE", subjects=["runstore.>"], max_msgs=1)
        config.discard = "new"  # type: ignore[assignment] # as the API spells it
        await client.jetstream().add_stream(config)

    found = await open_jetstream().deliver(interleaved(1, 3))

    assert found[0] is None
    assert found[1]
    assert str(found[1]) == "the stream refused the event: maximum messages exceeded"
    assert not found[1].is_final
    assert found[2]
    assert not found[2].is_attempted


async def test_a_subject_longer_than_the_server_reads_is_final(open_jetstream) -> None:
    text = "\U000e0001" * 200

    given = entry(project=text, run_id=text, event=Event(type=text, event_id="e"))

    [failure] = await open_jetstream().deliver([given])

    size = len(subject_of("runstore", given))
    assert failure
    assert failure.is_final
    assert str(failure) == f"the subject has {size} bytes, more than the 3800 that NATS accepts"


async def test_an_unreachable_server_is_an_outcome_and_used_once_it_is_up(
    open_jetstream, nats_server
) -> None:
    nats_server.kill()
    sink = open_jetstream()

    away = await sink.deliver(interleaved(2, 2))
    nats_server.start()
    back = await sink.deliver(interleaved(2, 2))

    assert all(str(each).startswith("NATS does not answer") for each in away)
    assert all(str(nats_server.port) in str(each) for each in away)
    assert not any(each.is_attempted for each in away if each)
    assert back == [None] * 4


async def test_a_server_without_jetstream_is_an_outcome(nats_server, open_jetstream) -> None:
    nats_server.kill()
    nats_server._config.write_text("accounts { A { users: [{ user: a, password: a }] } }")
    nats_server.start()

    failure = await outcome(open_jetstream(servers=[f"nats://a:a@127.0.0.1:{nats_server.port}"]))

    assert str(failure).startswith("JetStream does not answer")


async def test_one_server_of_several_is_enough(open_jetstream, nats_server) -> None:
    gone = NatsServer(nats_server._folder)

    for _ in range(4):  # in whatever order they are tried
        assert await outcome(open_jetstream(servers=[gone.url, nats_server.url])) is None


@pytest.mark.slow
async def test_a_server_that_hangs_is_given_up_in_bounded_time(open_jetstream, nats_server) -> None:
    sink = open_jetstream()
    await outcome(sink)
    nats_server.freeze()

    before = time.monotonic()
    found = await sink.deliver(interleaved(300, 2))
    hung = time.monotonic() - before
    again = await sink.deliver(interleaved(300, 2))
    both = time.monotonic() - before

    assert all(found)
    assert all(again)
    assert hung < ANSWER_SECONDS + 30
    assert both - hung < CLOSE_SECONDS + CONNECT_SECONDS + ANSWER_SECONDS + 30
    nats_server.kill()
    nats_server.start()
    assert await sink.deliver(interleaved(3, 2)) == [None] * 6


async def test_a_lost_connection_fails_waiting_deliveries_at_once(
    open_jetstream, nats_server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_link, "ANSWER_SECONDS", 300)
    sink = open_jetstream()
    await outcome(sink)
    nats_server.freeze()
    delivering = asyncio.create_task(sink.deliver(interleaved(2, 2)))
    await asyncio.sleep(0)

    nats_server.kill()
    async with asyncio.timeout(60):
        found = await delivering

    assert all(found)


@pytest.mark.parametrize("seconds_down", [0, 0.5])
async def test_a_server_killed_in_the_middle_loses_doubles_and_disorders_nothing(
    open_jetstream, nats_server, seconds_down: float
) -> None:
    entries = interleaved(20, 300)
    failures: list[Undelivered] = []
    failed = asyncio.Event()

    def note(failure: Undelivered) -> None:
        failures.append(failure)
        failed.set()

    delivering = asyncio.create_task(
        deliver_until_taken(open_jetstream(), entries, on_failure=note)
    )

    for kill in range(3):
        await _seen(nats_server, 150)
        failed.clear()
        nats_server.kill()
        assert not delivering.done(), f"everything was delivered before kill {kill}"
        await failed.wait()
        await asyncio.sleep(seconds_down)
        nats_server.start()
    await delivering

    assert any(failure.is_attempted for failure in failures)
    assert seqs_by_run(await stored(nats_server)) == {
        f"run-{run}": list(range(1, 301)) for run in range(20)
    }


async def _seen(server: NatsServer, count: int) -> None:
    """Return once that many more messages have gone through the server."""
    async with connected(server) as client:
        subscription = await client.subscribe("runstore.>")
        for _ in range(count):
            await subscription.next_msg(timeout=60)


async def test_credentials_do_no_harm_where_the_server_asks_for_none(
    open_jetstream, tmp_path: Path
) -> None:
    file = tmp_path / "user.creds"
    file.touch()

    assert await outcome(open_jetstream(credentials=str(file))) is None


async def test_a_password_in_the_url_is_sent_and_never_said(
    nats_server, open_jetstream, caplog: pytest.LogCaptureFixture
) -> None:
    nats_server.kill()
    nats_server._config.write_text('authorization { user: "me", password: "hidden" }')
    nats_server.start()
    port = nats_server.port

    good = await outcome(open_jetstream(servers=[f"nats://me:hidden@127.0.0.1:{port}"]))
    bad = await outcome(open_jetstream(servers=[f"nats://me:hidden2@127.0.0.1:{port}"]))

    assert good is None
    assert str(bad).startswith("NATS does not answer")
    assert "hidden" not in str(bad) + caplog.text


async def test_giving_up_while_connecting_leaves_no_connection_behind() -> None:
    connected, closed = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        closed.set()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = {"kind": "nats", "name": "bus", "servers": [url]}
        sink = JetStreamSink(NatsSinkSettings.model_validate(settings))
        delivering = asyncio.create_task(sink.deliver([entry()]))
        await connected.wait()
        for _ in range(20):  # turns of the loop, until the client waits for the greeting
            await asyncio.sleep(0)

        delivering.cancel()

        async with asyncio.timeout(60):
            await closed.wait()
        await asyncio.wait([delivering])
        assert delivering.cancelled()


async def test_closing_fails_deliveries_in_flight(open_jetstream, nats_server) -> None:
    sink = open_jetstream()
    await outcome(sink)
    nats_server.freeze()
    delivering = asyncio.create_task(sink.deliver(interleaved(2, 2)))
    await asyncio.sleep(0)

    await sink.close()

    assert str((await delivering)[0]) == "the connection is closed"
