"""AppendEventStream answers every request, in order, whatever becomes of the others."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from conftest import make_served_store
from runstore.errors import from_rpc, from_status
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event
from runstore.v1.payloads_pb2 import Payload
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore_server.app import App
from runstore_server.edge.admission import Admission
from runstore_server.edge.identity import ANYBODY, serve
from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.metrics import Metrics
from runstore_server.edge.quotas import Quotas
from runstore_server.edge.unread import Unread
from runstore_server.services.events import Events
from runstore_server.streams.pipeline import WINDOW, Pipeline
from runstore_storage.postgres import PostgresStore

CONTRACT = Path(__file__).parents[3] / "protos/runstore/v1/run_service.proto"
METHOD = "/runstore.v1.RunService/AppendEventStream"


@pytest.fixture
async def names(stub, project) -> dict[str, str]:
    of_run = {"project": project, "run_id": "run"}
    await stub.SaveRun(rpc.SaveRunRequest(**of_run))
    return of_run


def append(names: dict[str, str], event_id: str, **fields: object) -> rpc.AppendEventStreamRequest:
    event = Event(type="t", event_id=event_id, **fields)
    return rpc.AppendEventStreamRequest(
        correlation_id=event_id, append=rpc.AppendEventRequest(**names, event=event)
    )


def reason_of(answer: rpc.AppendEventStreamResponse) -> str:
    return from_status(answer.error).reason if answer.HasField("error") else ""


def test_the_window_is_the_one_that_the_contract_names() -> None:
    assert f"stops reading while {WINDOW} requests wait" in CONTRACT.read_text()


async def test_pipelined_appends_are_answered_in_order_each_with_its_own_result(
    stub, names
) -> None:
    call = stub.AppendEventStream()
    requests = [append(names, f"e{number}") for number in range(100)]
    requests[10].append.expected_seq = 77
    requests[20].append.event.type = ""
    requests[30].append.run_id = "nobody"
    requests[40].append.event.event_id = "e0"
    for request in requests:
        await call.write(request)
    await call.done_writing()

    answers = [await call.read() for _ in requests]

    assert await call.read() is grpc.aio.EOF
    assert [answer.correlation_id for answer in answers] == [f"e{n}" for n in range(100)]
    reasons = {place: reason_of(each) for place, each in enumerate(answers) if reason_of(each)}
    assert reasons == {10: "SEQ_CONFLICT", 20: "INVALID_REQUEST", 30: "RUN_NOT_FOUND"}
    assert answers[40].appended.deduplicated
    seqs = [answer.appended.seq for answer in answers if answer.HasField("appended")]
    assert [seq for place, seq in enumerate(seqs) if place != 37] == list(range(1, 97))


async def test_an_unreadable_request_is_answered_and_the_call_continues(
    server_address, names
) -> None:
    sent = {
        append(names, "1").SerializeToString(): "",
        b"\xff\xff": "MALFORMED_MESSAGE",
        append(names, "2", payload=Payload(binary=b"x" * (16 << 20))).SerializeToString(): (
            "MESSAGE_TOO_LARGE"
        ),
        b"\x0a\x02\xff\xfe": "MALFORMED_MESSAGE",
        append(names, "3").SerializeToString(): "",
    }
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(server_address, options=options) as channel:
        call = channel.stream_stream(
            METHOD, response_deserializer=rpc.AppendEventStreamResponse.FromString
        )()
        for data in sent:
            await call.write(data)
        await call.done_writing()

        answers = [answer async for answer in call]

        assert [reason_of(answer) for answer in answers] == list(sent.values())
        assert [answers[0].appended.seq, answers[4].appended.seq] == [1, 2]
        assert await call.code() is grpc.StatusCode.OK


async def test_an_append_that_is_large_to_check_is_not_overtaken(stub, names) -> None:
    large = Payload(json="[" + "1," * (1 << 19) + "1]")
    sent = [
        append(names, f"e{number}", **({} if number % 2 else {"payload": large}))
        for number in range(6)
    ]
    call = stub.AppendEventStream()
    for request in sent:
        await call.write(request)
    await call.done_writing()

    answers = [answer.appended.seq async for answer in call]

    assert answers == [1, 2, 3, 4, 5, 6]


async def test_a_violation_is_named_by_its_path_in_the_streamed_message(stub, names) -> None:
    call = stub.AppendEventStream()
    for request in (append(names, "e", tags=[""]), rpc.AppendEventStreamRequest()):
        await call.write(request)
    await call.done_writing()

    errors = [from_status(answer.error) async for answer in call]

    assert [error.violations[0][0] for error in errors] == ["append.event.tags[0]", "append"]


async def test_a_client_that_half_closes_at_once_gets_every_answer(stub, names) -> None:
    async def requests() -> AsyncIterator[rpc.AppendEventStreamRequest]:
        for number in range(3 * WINDOW):
            yield append(names, f"e{number}")

    answers = [answer.appended.seq async for answer in stub.AppendEventStream(requests())]

    assert answers == list(range(1, 3 * WINDOW + 1))


def allow_all(_request: rpc.AppendEventStreamRequest) -> None:
    """As where nobody is asked."""


async def test_no_more_requests_are_read_than_the_window_holds() -> None:
    may_answer, is_full, read = asyncio.Event(), asyncio.Event(), 0

    async def slow(*_: object) -> rpc.AppendEventResponse:
        await may_answer.wait()
        return rpc.AppendEventResponse()

    async def requests() -> AsyncIterator[rpc.AppendEventStreamRequest]:
        nonlocal read
        for _ in range(2 * WINDOW):
            read += 1
            if read == WINDOW + 1:  # the one that is read and waits for room
                is_full.set()
            yield append({"run_id": "run"}, "")

    answers = Pipeline(slow, allow_all, Lifecycle()).run(requests())
    first = asyncio.create_task(anext(answers))
    await is_full.wait()
    for _ in range(100):
        await asyncio.sleep(0)  # a turn of the loop, in which more could be read

    assert read == WINDOW + 1
    may_answer.set()
    await first
    assert len([answer async for answer in answers]) == 2 * WINDOW - 1


async def test_a_stream_that_is_given_up_counts_for_no_project(
    store: PostgresStore, project: str
) -> None:
    quotas, may_go_on = Quotas(), asyncio.Event()
    admission = Admission(Metrics(), quotas=quotas)
    events = Events(store, Lifecycle(), Unread(1 << 20), admission, default_heartbeat=60)

    async def requests() -> AsyncIterator[rpc.AppendEventStreamRequest]:
        yield append({"project": project, "run_id": "run"}, "")
        await may_go_on.wait()
        yield append({"project": f"{project}x", "run_id": "run"}, "")

    serve(ANYBODY)
    answers = events.AppendEventStream(requests(), None)
    await anext(answers)
    assert quotas._streams == {project: 1}
    may_go_on.set()
    await answers.aclose()
    for _ in range(100):
        await asyncio.sleep(0)  # a turn of the loop, in which more could be read

    assert not quotas._streams


async def test_a_failure_to_read_fails_the_call_instead_of_ending_it() -> None:
    async def ok(*_: object) -> rpc.AppendEventResponse:
        return rpc.AppendEventResponse(seq=1)

    async def broken() -> AsyncIterator[rpc.AppendEventStreamRequest]:
        yield append({"run_id": "run"}, "e")
        raise ConnectionError("the rest is lost")

    answers = Pipeline(ok, allow_all, Lifecycle()).run(broken())

    assert (await anext(answers)).appended.seq == 1
    with pytest.raises(ConnectionError, match="the rest is lost"):
        await anext(answers)


async def test_a_call_that_is_cancelled_leaves_whole_events_and_no_task(stub, names) -> None:
    call = stub.AppendEventStream()
    for number in range(50):
        await call.write(append(names, f"e{number}"))
    await call.read()
    call.cancel()

    retried = await stub.AppendEvents(
        rpc.AppendEventsRequest(**names, events=[Event(type="t", event_id="e0")])
    )
    verdict = await stub.VerifyRun(rpc.VerifyRunRequest(**names))

    assert retried.deduplicated
    assert verdict.verified
    async with asyncio.timeout(60):
        while _tasks_of(Pipeline):
            await stub.VerifyRun(rpc.VerifyRunRequest(**names))


def _tasks_of(kind: type) -> list[str]:
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith(f"{kind.__name__}.")]


async def test_a_draining_server_answers_what_it_read_and_ends_the_call_as_unavailable(
    settings, database_url, db_schema, names
) -> None:
    patient = settings.model_copy(update={"drain_seconds": 300})
    server = App(patient, make_served_store(database_url, db_schema))
    async with grpc.aio.insecure_channel(await server.start()) as channel:
        call = RunServiceStub(channel).AppendEventStream()
        await call.write(append(names, "a"))
        assert (await call.read()).appended.seq == 1

        draining = asyncio.create_task(server.drain())

        with pytest.raises(grpc.RpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert from_rpc(caught.value).reason == "SERVER_DRAINING"
        await asyncio.wait_for(draining, 60)
