"""Appends made at the same time share requests; to their callers nothing else changes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import grpc
import pytest
import pytest_asyncio
import runstore
import runstore.aio.gathering
import runstore.streams.gathering
import runstore.sync.gathering
from clients.script import status
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.run_service_pb2_grpc import RunServiceServicer, add_RunServiceServicer_to_server
from until import until

Append = Callable[..., Awaitable[runstore.Appended]]
Answer = Callable[[Any, Any], Awaitable[Any]]


class Server(RunServiceServicer):
    """Keeps the requests. `answers` are those to AppendMany, one after the other."""

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[Any] = []
        self.answers: list[Answer] = []
        self.is_open = asyncio.Event()
        """While it is not set, AppendEvent is not answered."""

    async def AppendEvent(self, request: Any, _context: Any) -> Any:  # noqa: N802 - an RPC
        self.requests.append(request)
        await self.is_open.wait()
        return answered(request)

    async def AppendMany(self, request: Any, context: Any) -> Any:  # noqa: N802 - an RPC
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else each_answered
        return await answer(request, context)

    @property
    def sizes(self) -> list[int]:
        """How many appends each request had; 0 stands for AppendEvent."""
        return [
            len(each.appends) if isinstance(each, rpc.AppendManyRequest) else 0
            for each in self.requests
        ]


def answered(request: Any) -> Any:
    return rpc.AppendEventResponse(seq=1, event_id=request.event.event_id)


async def each_answered(request: Any, _context: Any) -> Any:
    results = [rpc.AppendResult(appended=answered(each)) for each in request.appends]
    return rpc.AppendManyResponse(results=results)


def failing(code: grpc.StatusCode, details: str = "scripted") -> Answer:
    async def fail(_request: Any, context: Any) -> None:
        await context.abort(code, details)

    return fail


def refusing(code: grpc.StatusCode, reason: str) -> Answer:
    async def refuse(_request: Any, context: Any) -> None:
        details = status(code.value[0], reason).SerializeToString()
        context.set_trailing_metadata((("grpc-status-details-bin", details),))
        await context.abort(code, "refused")

    return refuse


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    made, listening = Server(), grpc.aio.server()
    add_RunServiceServicer_to_server(made, listening)
    made.address = f"127.0.0.1:{listening.add_insecure_port('127.0.0.1:0')}"
    await listening.start()
    yield made
    made.is_open.set()
    await listening.stop(0)


class Writer:
    """A client that has a request on its way, for which what it appends now waits."""

    def __init__(self, server: Server, client: Any, append: Append) -> None:
        self.server = server
        self.client = client
        self._append = append
        self._first: asyncio.Task[Any] | None = None

    async def begin(self) -> None:
        self._first = asyncio.create_task(self._appended("first"))
        await until(lambda: len(self.server.requests) == 1)

    def _appended(self, *arguments: Any) -> Any:
        return self._append(*arguments)

    async def waiting(self, *events: Any) -> list[asyncio.Task[runstore.Appended]]:
        """Append these events, each by a caller of its own; return when all wait."""
        tasks = []
        for number, each in enumerate(events, start=self.held + 1):
            tasks.append(asyncio.create_task(self._appended(each)))
            await until(lambda wanted=number: self.held >= wanted)  # type: ignore[misc]
        return tasks

    @property
    def held(self) -> int:
        gatherings = self.client._connection._gatherings.values()
        return sum(len(each._waiting) for each in gatherings)

    async def release(self) -> None:
        """Let the request on its way be answered, and others after it."""
        self.server.is_open.set()
        assert self._first
        await self._first


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    patience_of(3600, monkeypatch)


def patience_of(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (runstore.aio.gathering, runstore.sync.gathering):
        monkeypatch.setattr(module, "PATIENCE_SECONDS", seconds)


@pytest_asyncio.fixture(params=["async", "sync"])
async def writer(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Writer]:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64))
    if request.param == "async":
        async with runstore.connect(server.address, timeout=60) as client:
            made = Writer(server, client, client.run("r").append)
            await made.begin()
            yield made
            await made.release()
    else:
        with runstore.Client(server.address, timeout=60) as sync_client:
            append = partial(asyncio.to_thread, sync_client.run("r").append)
            made = Writer(server, sync_client, append)
            await made.begin()
            yield made
            await made.release()


async def test_what_waits_goes_together_when_the_request_before_is_answered(
    server: Server, writer: Writer
) -> None:
    tasks = await writer.waiting("a", "b", "c")
    assert server.sizes == [0]

    await writer.release()

    appended = await asyncio.gather(*tasks)
    assert server.sizes == [0, 3]
    assert [each.event.type for each in server.requests[1].appends] == ["a", "b", "c"]
    assert [each.event_id for each in appended] == [
        each.event.event_id for each in server.requests[1].appends
    ]


async def test_one_that_waits_alone_goes_as_a_call_of_its_own(
    server: Server, writer: Writer
) -> None:
    tasks = await writer.waiting("a")

    await writer.release()

    await asyncio.gather(*tasks)
    assert server.sizes == [0, 0]


async def test_what_waits_goes_when_the_request_before_takes_long(
    server: Server, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience_of(0.05, monkeypatch)
    writer.client._connection._gatherings.clear()
    first = asyncio.create_task(writer._appended("first"))
    await until(lambda: len(server.requests) == 2)

    tasks = [asyncio.create_task(writer._appended("late")) for _ in range(3)]

    await until(lambda: sum(size or 1 for size in server.sizes) == 5)
    assert not first.done()
    server.is_open.set()
    await asyncio.gather(first, *tasks)


async def test_a_refusal_is_its_own_callers(server: Server, writer: Writer) -> None:
    async def refuse_second(request: Any, context: Any) -> Any:
        response = await each_answered(request, context)
        response.results[1].error.CopyFrom(status(9, "RUN_COMPLETED", last_seq="7"))
        return response

    server.answers = [refuse_second]
    first, second, third = await writer.waiting("a", "b", "c")

    await writer.release()

    with pytest.raises(runstore.RunCompleted) as refused:
        await second
    assert refused.value.metadata == {"last_seq": "7"}
    assert {(await each).seq for each in (first, third)} == {1}


async def test_a_request_that_may_be_repeated_is_for_each_of_its_appends(
    server: Server, writer: Writer
) -> None:
    server.answers = [failing(grpc.StatusCode.UNAVAILABLE)]
    tasks = await writer.waiting("a", "b", "c")

    await writer.release()

    await asyncio.gather(*tasks)
    sent: dict[str, list[bytes]] = {}
    for request in server.requests[1:]:
        for each in getattr(request, "appends", [request]):
            sent.setdefault(each.event.type, []).append(each.SerializeToString())
    assert {name: (len(given), len(set(given))) for name, given in sent.items()} == {
        "a": (2, 1),
        "b": (2, 1),
        "c": (2, 1),
    }


@pytest.mark.parametrize(
    ("code", "details"),
    [
        (grpc.StatusCode.UNIMPLEMENTED, "Method not found!"),
        (grpc.StatusCode.UNKNOWN, "Received http2 header with status: 413"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
    ],
)
async def test_what_can_be_the_requests_own_fault_is_tried_by_each_itself(
    server: Server, writer: Writer, code: grpc.StatusCode, details: str
) -> None:
    server.answers = [failing(code, details)]
    tasks = await writer.waiting("a", "b", "c")

    await writer.release()

    await asyncio.gather(*tasks)
    assert server.sizes == [0, 3, 0, 0, 0]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
        (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_EXPIRED"),
        (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
    ],
)
async def test_a_refusal_of_the_caller_is_one_of_each_append(
    server: Server, writer: Writer, code: grpc.StatusCode, reason: str
) -> None:
    server.answers = [refusing(code, reason)]
    tasks = await writer.waiting("a", "b", "c")

    await writer.release()

    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [runstore.BY_REASON[reason]] * 3
    assert len({id(end) for end in ends}) == 3
    assert server.sizes == [0, 3]


async def test_a_server_without_the_call_is_asked_once(server: Server, writer: Writer) -> None:
    server.answers = [failing(grpc.StatusCode.UNIMPLEMENTED)]
    tasks = await writer.waiting("a", "b")
    await writer.release()
    await asyncio.gather(*tasks)

    await asyncio.gather(*(writer._appended("later") for _ in range(10)))

    assert server.sizes == [0, 2, *[0] * 12]


async def test_an_answer_that_lacks_results_is_the_servers_fault(
    server: Server, writer: Writer
) -> None:
    async def lack_one(request: Any, context: Any) -> Any:
        response = await each_answered(request, context)
        del response.results[0]
        return response

    server.answers = [lack_one]
    tasks = await writer.waiting("a", "b")

    await writer.release()

    failures = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in failures] == [runstore.ProtocolError] * 2


async def test_a_large_append_waits_for_none_and_takes_none_along(
    server: Server, writer: Writer
) -> None:
    large = runstore.NewEvent("large", payload="x" * runstore.streams.gathering.LARGE_BYTES)
    tasks = await writer.waiting("a", "b")

    sent = asyncio.create_task(writer._appended(large))
    await until(lambda: server.sizes == [0, 0])
    assert server.requests[1].event.type == "large"

    await writer.release()
    await asyncio.gather(sent, *tasks)
    assert server.sizes == [0, 0, 2]


async def test_what_is_too_much_for_a_request_goes_in_several(
    server: Server, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runstore.streams.gathering, "MAX_APPENDS", 3)
    tasks = await writer.waiting(*"abcdefgh")

    await writer.release()

    await asyncio.gather(*tasks)
    assert sorted(server.sizes) == [0, 2, 3, 3]


async def test_a_request_stays_below_the_bodies_that_proxies_let_pass(
    server: Server, writer: Writer
) -> None:
    wide = [runstore.NewEvent(f"{number}", payload="x" * 60_000) for number in range(30)]
    tasks = await writer.waiting(*wide)

    await writer.release()

    await asyncio.gather(*tasks)
    assert sum(server.sizes) == 30
    assert max(each.ByteSize() for each in server.requests) < 800 * 1024


async def test_a_caller_that_gives_up_waiting_sends_nothing(server: Server) -> None:
    async with runstore.connect(server.address, timeout=60) as client:
        writer = Writer(server, client, client.run("r").append)
        await writer.begin()
        first, second, third = await writer.waiting("a", "b", "c")

        second.cancel()
        await asyncio.wait([second])
        await writer.release()

        await asyncio.gather(first, third)
        assert [each.event.type for each in server.requests[1].appends] == ["a", "c"]


async def test_a_caller_that_gives_up_its_answer_takes_it_from_no_other(server: Server) -> None:
    may_answer = asyncio.Event()

    async def hold(request: Any, context: Any) -> Any:
        await may_answer.wait()
        return await each_answered(request, context)

    server.answers = [hold]
    async with runstore.connect(server.address, timeout=60) as client:
        writer = Writer(server, client, client.run("r").append)
        await writer.begin()
        first, second, third = await writer.waiting("a", "b", "c")
        await writer.release()
        await until(lambda: server.sizes == [0, 3])

        second.cancel()
        await asyncio.wait([second])
        may_answer.set()

        assert {(await each).seq for each in (first, third)} == {1}


async def test_a_caller_whose_time_is_over_fails_though_others_wait_on(server: Server) -> None:
    async with runstore.connect(server.address, timeout=60) as client:
        writer = Writer(server, client, client.run("r").append)
        await writer.begin()
        (waiting,) = await writer.waiting("patient")
        client._connection.timeout = 0.2

        with pytest.raises(runstore.DeadlineExceeded):
            await writer._appended("hasty")

        assert not waiting.done()
        await writer.release()
        await waiting
    assert "hasty" not in str(server.requests)


async def test_a_client_that_closes_fails_what_waits(server: Server) -> None:
    client = runstore.connect(server.address, timeout=60)
    writer = Writer(server, client, client.run("r").append)
    await writer.begin()
    tasks = await writer.waiting("a", "b", "c")

    await client.close()

    async with asyncio.timeout(60):
        failures = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, BaseException) for each in failures)


async def test_gathering_can_be_turned_off(server: Server) -> None:
    server.is_open.set()
    async with runstore.connect(server.address, gather=False) as client:
        run = client.run("r")
        await asyncio.gather(*(run.append("a") for _ in range(10)))
    with runstore.Client(server.address, gather=False) as sync_client:
        append = sync_client.run("r").append
        await asyncio.gather(*(asyncio.to_thread(append, "a") for _ in range(10)))

    assert server.sizes == [0] * 20


def test_a_thread_that_is_interrupted_lets_the_others_send_again() -> None:
    may_go, interrupted = threading.Event(), KeyboardInterrupt()

    def send(method: str, request: Any, _seconds: float) -> Any:
        if method == "AppendMany":
            raise interrupted
        may_go.wait()
        return answered(request)

    gathering = runstore.sync.gathering.Gathering(send)
    with ThreadPoolExecutor(4) as threads:
        request = rpc.AppendEventRequest(event={"type": "tick"})
        appends = [threads.submit(gathering.append, request, 60.0)]
        while len(gathering._waiting) < 3:
            if gathering._on_its_way and len(appends) < 4:
                appends.append(threads.submit(gathering.append, request, 60.0))
        may_go.set()
        failures = [each.exception(60) for each in appends]

    assert failures[0] is None
    assert failures.count(interrupted) == 1
    assert sum(isinstance(each, runstore.Unavailable) for each in failures) == 2
