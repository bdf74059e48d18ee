"""Streams of either client against a server that drops, repeats, leaves out and falls silent."""

import asyncio
import threading
from collections.abc import Sequence

import grpc
import pytest
import runstore
from clients.script import (
    BROKEN_STREAM,
    Script,
    batch,
    caught_up,
    end_of_run,
    heartbeat,
    status,
)
from runstore import Event, StreamItem
from runstore.sync.transport import messages
from runstore.v1 import run_service_pb2 as rpc


def shown(items: Sequence[StreamItem]) -> list[str | int]:
    """The seqs of events, the names of other items."""
    return [item.seq if isinstance(item, Event) else type(item).__name__ for item in items]


async def read_async(script: Script, **fields) -> list[StreamItem]:
    async with runstore.connect(script.address) as client:
        return [item async for item in client.run("run").stream(**fields)]


async def read_sync(script: Script, **fields) -> list[StreamItem]:
    def read() -> list[StreamItem]:
        with runstore.Client(script.address) as client:
            return list(client.run("run").stream(**fields))

    return await asyncio.to_thread(read)


@pytest.fixture(params=[read_async, read_sync], ids=["async", "sync"])
def read(request):
    """Reads a whole stream with one of the clients."""
    return request.param


async def test_a_dropped_stream_continues_at_the_next_seq(script: Script, read) -> None:
    script.streams = [
        [batch(1, 2), None],
        [None],
        [batch(3), end_of_run(3)],
    ]

    seen = await read(script)

    assert shown(seen) == [1, 2, 3, "EndOfRun"]
    assert script.asked == [1, 3, 3]


@pytest.mark.parametrize("code", BROKEN_STREAM, ids=lambda code: code.name)
async def test_a_stream_survives_every_status_of_a_broken_path(script: Script, read, code) -> None:
    script.dropped_as = code
    script.streams = [[batch(1, 2), None], [batch(3), end_of_run(3)]]

    assert shown(await read(script)) == [1, 2, 3, "EndOfRun"]
    assert script.asked == [1, 3]


@pytest.mark.parametrize("code", BROKEN_STREAM, ids=lambda code: code.name)
async def test_a_status_with_our_reason_ends_a_stream_whatever_its_code(
    script: Script, read, code
) -> None:
    script.dropped_as, script.dropped_with = code, status(code.value[0], "INTERNAL")
    script.streams = [[batch(1), None]]

    with pytest.raises(runstore.Internal):
        await read(script)

    assert script.asked == [1]


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    ],
    ids=lambda code: code.name,
)
async def test_a_proxy_that_refuses_the_call_ends_the_stream(script: Script, read, code) -> None:
    script.dropped_as = code
    script.streams = [[None]]

    with pytest.raises(runstore.RunstoreError) as raised:
        await read(script)

    assert (raised.value.code, raised.value.reason) == (code, "")


async def test_a_repeated_event_is_left_out(script: Script, read) -> None:
    script.streams = [[batch(1, 2), batch(2, 3), batch(1), end_of_run(3)]]

    assert shown(await read(script)) == [1, 2, 3, "EndOfRun"]


async def test_progress_messages_move_a_filtered_stream_forward(script: Script, read) -> None:
    script.streams = [
        [batch(2), caught_up(5), None],
        [heartbeat(9), None],
        [batch(12), end_of_run(13)],
    ]

    seen = await read(script, types=["tick"])

    assert shown(seen) == [2, "CaughtUp", "Heartbeat", 12, "EndOfRun"]
    assert script.asked == [1, 6, 10]


@pytest.mark.parametrize(
    "answers",
    [
        [batch(1), batch(3)],
        [batch(1), heartbeat(2)],
        [batch(1), caught_up(2)],
        [batch(1), end_of_run(2)],
    ],
    ids=["event", "heartbeat", "caught_up", "end_of_run"],
)
async def test_an_event_left_out_of_an_unfiltered_stream_is_an_error(
    script: Script, read, answers
) -> None:
    script.streams = [answers]

    with pytest.raises(runstore.ProtocolError):
        await read(script)


async def test_a_silent_stream_is_reopened(script: Script, read) -> None:
    script.streams = [[batch(1), ...], [batch(2), end_of_run(2)]]

    seen = await asyncio.wait_for(read(script, heartbeat_seconds=1.0), 60)

    assert shown(seen) == [1, 2, "EndOfRun"]
    assert script.asked == [1, 2]


async def test_heartbeats_keep_a_silent_stream_open(script: Script, read) -> None:
    script.streams = [[caught_up(0), *[heartbeat(0)] * 3, batch(1), end_of_run(1)]]

    seen = await read(script, heartbeat_seconds=1.0)

    assert shown(seen) == ["CaughtUp", *["Heartbeat"] * 3, 1, "EndOfRun"]
    assert script.asked == [1]


async def test_a_stream_that_does_not_follow_ends_with_the_servers(script: Script, read) -> None:
    script.streams = [[batch(1, 2), caught_up(2)]]

    assert shown(await read(script, follow=False)) == [1, 2, "CaughtUp"]


async def test_a_followed_stream_may_not_just_end(script: Script, read) -> None:
    script.streams = [[batch(1)]]

    with pytest.raises(runstore.ProtocolError, match="before the run's end"):
        await read(script)


class Late:
    """A stream whose watch fires just as a message arrives."""

    def __init__(self) -> None:
        self.was_cancelled = threading.Event()
        self.messages = iter([caught_up(0)])

    def __next__(self) -> rpc.StreamEventsResponse:
        self.was_cancelled.wait(60)
        for message in self.messages:
            return message
        raise Cancelled

    def cancel(self) -> None:
        self.was_cancelled.set()


class Cancelled(grpc.RpcError):
    pass


def test_a_watch_that_fires_as_a_message_arrives_counts_as_silence() -> None:
    received = messages(Late(), 0.05)

    first = next(received)

    assert first.HasField("caught_up")
    with pytest.raises(runstore.Unavailable, match="silent"):
        next(received)
