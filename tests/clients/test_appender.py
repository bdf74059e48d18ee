"""Pipelined appends: order, refusals, broken streams."""

import asyncio
from collections.abc import Callable

import grpc
import pytest
import runstore
from clients.script import BROKEN_STREAM, Script, status
from conftest import make_served_store
from runstore.streams.appends import MAX_STREAM_BYTES
from runstore.v1 import run_service_pb2 as rpc
from runstore_server.app import App

Request = rpc.AppendEventStreamRequest
Response = rpc.AppendEventStreamResponse
KIBIBYTE = 1024
STREAMS = 30  # more than any test opens
TOO_LARGE = "Received http2 header with status: 413"
UNAVAILABLE = 14
ABORTED = 10


def accept(request: Request) -> Response:
    return Response(
        correlation_id=request.correlation_id,
        appended=rpc.AppendEventResponse(seq=1, event_id=request.append.event.event_id),
    )


def instead(event_id: str, answer: Callable[[Request], Response | None]):
    """Accepts all but one event."""

    def decide(request: Request) -> Response | None:
        return answer(request) if request.append.event.event_id == event_id else accept(request)

    return decide


def later(request: Request, event_id: str) -> bool:
    return request.append.event.event_id > event_id


def drop(request: Request) -> None:
    return None


def up_to(limit: int):
    """Accepts the appends of one stream as a proxy that limits the body of a request."""
    left = limit

    def answer(request: Request) -> Response | None:
        nonlocal left
        left -= request.ByteSize()
        return accept(request) if left >= 0 else None

    return answer


def refuse(code: int, reason: str):
    def answer(request: Request) -> Response:
        return Response(correlation_id=request.correlation_id, error=status(code, reason))

    return answer


async def append_async(
    script: Script, ids: list[str], payload: str | None = None, **fields
) -> list[object]:
    async with runstore.connect(script.address, timeout=60) as client:
        run = client.run("run")
        async with client.appender(**fields) as appender:
            answers = [await appender.append(run, "tick", payload, event_id=each) for each in ids]
        return [each.exception() or each.result().event_id for each in answers]


async def append_sync(
    script: Script, ids: list[str], payload: str | None = None, **fields
) -> list[object]:
    def append() -> list[object]:
        with runstore.Client(script.address, timeout=60) as client:
            run = client.run("run")
            with client.appender(**fields) as appender:
                answers = [appender.append(run, "tick", payload, event_id=each) for each in ids]
            return [each.exception() or each.result().event_id for each in answers]

    return await asyncio.to_thread(append)


@pytest.fixture(params=[append_async, append_sync], ids=["async", "sync"])
def append(request):
    """Appends events with one of the clients; their ids or errors."""
    return request.param


@pytest.mark.parametrize("window", [1, 2, 256])
async def test_appends_are_sent_in_order_and_each_gets_its_response(
    script: Script, append, window
) -> None:
    script.appends = [accept]
    ids = [str(number) for number in range(10)]

    assert await append(script, ids, window=window) == ids

    assert script.sent == [ids]


async def test_appends_without_a_response_are_sent_again_in_order_after_a_break(
    script: Script, append
) -> None:
    script.appends = [instead("b", drop), drop, accept]

    assert await append(script, ["a", "b", "c"]) == ["a", "b", "c"]

    assert script.sent[-1] == ["b", "c"]


async def test_appends_that_a_draining_server_refused_are_sent_to_the_next(
    script: Script, append
) -> None:
    draining = refuse(UNAVAILABLE, "SERVER_DRAINING")
    script.appends = [
        lambda request: draining(request) if later(request, "a") else accept(request),
        accept,
    ]

    assert await append(script, ["a", "b", "c"]) == ["a", "b", "c"]

    assert script.sent[-1] == ["b", "c"]


@pytest.mark.parametrize("code", BROKEN_STREAM, ids=lambda code: code.name)
async def test_appends_survive_every_status_of_a_broken_path(script: Script, append, code) -> None:
    script.dropped_as = code
    script.appends = [instead("b", drop), accept]

    assert await append(script, ["a", "b"]) == ["a", "b"]

    assert script.sent[-1] == ["b"]


@pytest.mark.parametrize("window", [1, 3, 256])
async def test_a_stream_ends_before_the_size_that_proxies_allow_and_the_next_goes_on(
    script: Script, append, window
) -> None:
    script.appends = [accept] * 3
    ids = [str(number) for number in range(8)]
    third = "x" * (MAX_STREAM_BYTES // 3 - KIBIBYTE)

    assert await append(script, ids, third, window=window) == ids

    assert script.sent == [ids[:3], ids[3:6], ids[6:]]


async def test_an_append_beyond_that_size_has_a_stream_of_its_own(script: Script, append) -> None:
    script.appends = [accept] * 2

    assert await append(script, ["a", "b"], "x" * MAX_STREAM_BYTES) == ["a", "b"]

    assert script.sent == [["a"], ["b"]]


async def test_an_append_that_no_proxy_lets_pass_fails_alone_and_at_once(
    script: Script, append
) -> None:
    script.dropped_as, script.dropped_saying = grpc.StatusCode.UNKNOWN, TOO_LARGE
    script.appends = [instead("b", drop)] * STREAMS

    first, second, third = await append(script, ["a", "b", "c"])

    assert (first, third) == ("a", "c")
    assert isinstance(second, runstore.MessageTooLarge)
    assert script.sent[-2:] == [["b"], ["c"]]


async def test_appends_that_are_too_large_for_a_proxy_only_together_are_all_recorded(
    script: Script, append
) -> None:
    script.dropped_as, script.dropped_saying = grpc.StatusCode.UNKNOWN, TOO_LARGE
    script.appends = [up_to(250 * KIBIBYTE) for _ in range(STREAMS)]
    ids = [str(number) for number in range(9)]

    assert await append(script, ids, "x" * 100 * KIBIBYTE) == ids

    assert script.sent[-1][-1] == ids[-1]


async def test_a_stream_that_ends_before_it_is_full_is_a_breach(script: Script, append) -> None:
    script.ends_after = "a"
    script.appends = [accept]

    with pytest.raises(runstore.ProtocolError):
        await append(script, ["a", "b"])


async def test_a_refusal_fails_only_its_own_append(script: Script, append) -> None:
    script.appends = [instead("b", refuse(ABORTED, "SEQ_CONFLICT"))]

    first, second, third = await append(script, ["a", "b", "c"])

    assert (first, third) == ("a", "c")
    assert isinstance(second, runstore.SeqConflict)


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: Response(correlation_id="other", appended=rpc.AppendEventResponse(seq=1)),
        lambda request: Response(
            correlation_id=request.correlation_id, error=status(ABORTED, "NEW_REASON")
        ),
    ],
    ids=["answers another append", "an unknown reason"],
)
async def test_an_unexpected_response_never_counts_as_success(
    script: Script, append, answer
) -> None:
    script.appends = [answer]

    try:
        (outcome,) = await append(script, ["a"])
    except runstore.RunstoreError as error:
        outcome = error

    assert isinstance(outcome, runstore.RunstoreError)


async def test_appends_that_no_server_accepts_fail_with_the_exit(script: Script) -> None:
    async with runstore.connect("127.0.0.1:1", timeout=0.3) as client:
        with pytest.raises(runstore.Unavailable):
            async with client.appender() as appender:
                answer = await appender.append(client.run("run"), "tick")

    assert isinstance(answer.exception(), runstore.Unavailable)


async def test_an_appender_left_by_an_exception_waits_for_nothing(script: Script) -> None:
    answers = []

    async def leave(client: runstore.AsyncClient) -> None:
        async with client.appender() as appender:
            answers.append(await appender.append(client.run("run"), "tick"))
            raise KeyError

    async with runstore.connect("127.0.0.1:1", timeout=300) as client:
        with pytest.raises(KeyError):
            await leave(client)

    assert answers[0].cancelled()


async def test_a_synchronous_appender_left_by_an_exception_waits_for_nothing() -> None:
    answers = []

    def leave() -> None:
        with (
            runstore.Client("127.0.0.1:1", timeout=300) as client,
            client.appender() as appender,
        ):
            answers.append(appender.append(client.run("run"), "tick"))
            raise KeyError

    with pytest.raises(KeyError):
        await asyncio.wait_for(asyncio.to_thread(leave), 60)

    assert answers[0].exception(timeout=60) is not None


async def test_a_closed_appender_accepts_nothing(script: Script) -> None:
    async with runstore.connect(script.address) as client:
        async with client.appender() as appender:
            pass

        with pytest.raises(RuntimeError):
            await appender.append(client.run("run"), "tick")

    assert script.sent == []


async def test_a_real_server_records_pipelined_appends_in_order(client) -> None:
    runs = [await client.save_run() for _ in range(3)]

    async with client.appender(window=50) as appender:
        answers = [
            await appender.append(runs[number % 3], "tick", {"n": number}) for number in range(300)
        ]

    for index, run in enumerate(runs):
        events = [event async for event in run.events()]
        assert [event.payload.value()["n"] for event in events] == list(range(index, 300, 3))
        assert [answer.result().seq for answer in answers[index::3]] == list(range(1, 101))


async def test_an_append_far_beyond_the_servers_limit_fails_alone(
    settings, database_url, db_schema, project
) -> None:
    limited = settings.model_copy(update={"max_request_bytes": 2 * KIBIBYTE, "drain_seconds": 0})
    server = App(limited, make_served_store(database_url, db_schema))
    async with runstore.connect(await server.start(), project=project) as client:
        run = await client.save_run()
        async with client.appender() as appender:
            payloads = ["small", "x" * 100 * KIBIBYTE, "small"]
            answers = [await appender.append(run, "tick", each) for each in payloads]
        with pytest.raises(runstore.MessageTooLarge):
            await run.append("tick", payloads[1])
    await server.drain()

    assert [each.exception() is None for each in answers] == [True, False, True]
    assert isinstance(answers[1].exception(), runstore.MessageTooLarge)


async def test_pipelined_appends_survive_server_restarts_once_and_in_order(
    settings, database_url, db_schema, project
) -> None:
    async def start(port: int) -> tuple[App, str]:
        server = App(
            settings.model_copy(update={"port": port}), make_served_store(database_url, db_schema)
        )
        return server, await server.start()

    server, address = await start(0)
    port = int(address.rpartition(":")[2])
    async with runstore.connect(address, project=project, timeout=60) as client:
        run = await client.save_run()
        async with client.appender(window=20) as appender:

            async def write(numbers: range) -> None:
                for number in numbers:
                    await appender.append(run, "tick", {"n": number})

            for first in range(0, 300, 100):
                writing = asyncio.create_task(write(range(first, first + 100)))
                await server.drain()
                server, _ = await start(port)
                await writing
        events = [event async for event in run.events()]
    await server.drain()

    assert [event.payload.value()["n"] for event in events] == list(range(300))


async def test_pipelined_appends_are_fenced_one_by_one(client) -> None:
    first, other = await client.save_run(), await client.save_run()
    await client.resume(first.run_id)

    async with client.appender() as appender:
        refused = await appender.append(first, "late")
        accepted = await appender.append(other, "fine")

    assert isinstance(refused.exception(), runstore.WriterFenced)
    assert accepted.result().seq == 1


async def test_the_synchronous_appender_does_the_same(server_address, project) -> None:
    def use() -> list[int]:
        with runstore.Client(server_address, project=project) as client:
            run = client.save_run()
            with client.appender(window=10) as appender:
                answers = [appender.append(run, "tick") for _ in range(100)]
            return [each.result().seq for each in answers]

    assert await asyncio.to_thread(use) == list(range(1, 101))
