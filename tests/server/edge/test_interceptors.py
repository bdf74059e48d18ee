"""What stands around every RPC, shown on a small service of the tests' own."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID

import grpc
import pytest
from google.protobuf.message import Message
from runstore.errors import from_rpc
from runstore.v1 import run_service_pb2 as rpc
from runstore_server.edge import requests
from runstore_server.edge.access import ACCESS, Rule
from runstore_server.edge.interceptors import Calls
from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.requests import READING_OPTIONS
from runstore_storage.contract.access import Role
from runstore_storage.contract.errors import SeqConflict
from structlog.contextvars import get_contextvars
from structlog.testing import capture_logs

LIMIT = 1000
SECRET = "password=hunter2"  # what a driver's message may hold
ENDED: list[str] = []  # client streams that the service saw to their end
FAILURES: dict[str, Exception | None] = {
    "fine": None,
    "refused": SeqConflict("run", 1, 2),
    "broken": RuntimeError(SECRET),
}


def act(request: rpc.GetRunRequest) -> rpc.GetRunResponse:
    """Fail as the request's run says, or answer with what the log knows of the call."""
    if failure := FAILURES[request.run_id]:
        raise failure
    bound = get_contextvars()
    return rpc.GetRunResponse(run={"run_id": bound["run_id"], "objective": bound["request_id"]})


async def unary(request: Any, context: Any) -> rpc.GetRunResponse:
    return act(request)


async def server_stream(request: Any, context: Any) -> AsyncIterator[rpc.GetRunResponse]:
    yield act(request)


async def client_stream(requests: Any, context: Any) -> rpc.GetRunResponse:
    answer = rpc.GetRunResponse()
    async for request in requests:
        if failure := FAILURES[request.run_id]:
            raise failure
        answer.run.run_id = request.run_id
    ENDED.append(answer.run.run_id)
    return answer


async def both_stream(requests: Any, context: Any) -> AsyncIterator[rpc.GetRunResponse]:
    async for request in requests:
        yield rpc.GetRunResponse(run={"run_id": request.run_id})
        if failure := FAILURES[request.run_id]:
            raise failure


def service() -> grpc.GenericRpcHandler:
    codec: dict[str, Any] = {
        "request_deserializer": rpc.GetRunRequest.FromString,
        "response_serializer": rpc.GetRunResponse.SerializeToString,
    }
    return grpc.method_handlers_generic_handler(
        "runstore.Probe",
        {
            "Unary": grpc.unary_unary_rpc_method_handler(unary, **codec),
            "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream, **codec),
            "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream, **codec),
            "BothStream": grpc.stream_stream_rpc_method_handler(both_stream, **codec),
        },
    )


@pytest.fixture(autouse=True)
def _every_line_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "runstore_server")


@pytest.fixture
def lifecycle() -> Lifecycle:
    return Lifecycle()


@pytest.fixture
async def channel(lifecycle: Lifecycle) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server(
        interceptors=[Calls(lifecycle, max_request_bytes=LIMIT, connection_streams=9)],
        options=READING_OPTIONS,
    )
    server.add_generic_rpc_handlers((service(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await server.stop(0)


@pytest.fixture(autouse=True)
def _anybody_may_call(monkeypatch: pytest.MonkeyPatch) -> None:
    for shape in SHAPES:
        rule = Rule((Role.READER,))
        monkeypatch.setitem(cast(dict[str, Rule], ACCESS), f"/runstore.Probe/{shape}", rule)


SHAPES = ["Unary", "ServerStream", "ClientStream", "BothStream"]


def call(channel: grpc.aio.Channel, shape: str, request: Message | bytes, **options: Any) -> Any:
    make = {
        "Unary": "unary_unary",
        "ServerStream": "unary_stream",
        "ClientStream": "stream_unary",
        "BothStream": "stream_stream",
    }
    method = getattr(channel, make[shape])(f"/runstore.Probe/{shape}")
    data = request if isinstance(request, bytes) else request.SerializeToString()
    return method(iter([data]) if shape in {"ClientStream", "BothStream"} else data, **options)


async def finish(made: Any) -> list[rpc.GetRunResponse]:
    if isinstance(made, grpc.aio.UnaryUnaryCall | grpc.aio.StreamUnaryCall):
        return [rpc.GetRunResponse.FromString(await made)]
    return [rpc.GetRunResponse.FromString(data) async for data in made]


async def refusal(made: Any) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        await finish(made)
    return from_rpc(caught.value)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_known_refusal_keeps_its_code_reason_and_metadata(channel, shape) -> None:
    error = await refusal(call(channel, shape, rpc.GetRunRequest(run_id="refused")))

    assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "SEQ_CONFLICT")
    assert error.metadata["current_seq"] == "2"


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_defect_is_logged_whole_and_answered_bare(channel, shape) -> None:
    made = call(channel, shape, rpc.GetRunRequest(run_id="broken"))
    with capture_logs() as lines:
        error = await refusal(made)

    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert SECRET not in f"{error} {error.metadata} {await made.trailing_metadata()}"
    assert error.metadata == {"request_id": error.request_id}
    assert [str(line["exc_info"]) for line in lines if line["event"] == "defect"] == [SECRET]
    assert {line["log_level"] for line in lines} == {"error"}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("run_id", "code", "level"), [("fine", "OK", "debug"), ("refused", "ABORTED", "info")]
)
async def test_a_call_leaves_one_line_with_its_code_and_duration(
    channel, shape, run_id, code, level
) -> None:
    made = call(channel, shape, rpc.GetRunRequest(run_id=run_id))
    with capture_logs() as lines:
        if code == "OK":
            await finish(made)
        else:
            await refusal(made)
        async with asyncio.timeout(30):
            while not lines:  # noqa: ASYNC110 - the line of a refusal may follow its status
                await asyncio.sleep(0.01)

    (line,) = lines
    assert (line["event"], line["code"], line["log_level"]) == ("call", code, level)
    assert line["milliseconds"] >= 0


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_request_id_comes_back_with_successes_and_failures(channel, shape) -> None:
    for run_id in ("fine", "refused"):
        made = call(
            channel, shape, rpc.GetRunRequest(run_id=run_id), metadata=(("x-request-id", "mine"),)
        )
        if run_id == "fine":
            await finish(made)
        else:
            assert (await refusal(made)).request_id == "mine"
        assert dict(await made.trailing_metadata())["x-request-id"] == "mine"


@pytest.mark.parametrize("sent", ["", "x" * 201])
async def test_an_unusable_request_id_is_replaced(channel, sent) -> None:
    made = call(
        channel, "Unary", rpc.GetRunRequest(run_id="fine"), metadata=(("x-request-id", sent),)
    )
    await made

    assert UUID(dict(await made.trailing_metadata())["x-request-id"])


async def test_the_log_of_a_call_knows_its_run_and_request(channel) -> None:
    made = call(
        channel, "Unary", rpc.GetRunRequest(run_id="fine"), metadata=(("x-request-id", "mine"),)
    )

    (answer,) = await finish(made)

    assert (answer.run.run_id, answer.run.objective) == ("fine", "mine")


@pytest.mark.parametrize("shape", ["Unary", "ServerStream", "ClientStream"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\x12\x02\xff\xfe", "MALFORMED_MESSAGE"), (b"\x0a" * (LIMIT + 1), "MESSAGE_TOO_LARGE")],
)
async def test_bytes_that_cannot_be_read_have_their_own_reason(
    channel, shape, data, reason
) -> None:
    assert (await refusal(call(channel, shape, data))).reason == reason


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_draining_server_begins_no_call(channel, lifecycle, shape) -> None:
    lifecycle.draining.set()

    error = await refusal(call(channel, shape, rpc.GetRunRequest(run_id="fine")))

    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")


async def test_a_client_stream_that_is_cut_off_never_looks_complete(channel) -> None:
    ENDED.clear()
    data = rpc.GetRunRequest(run_id="fine").SerializeToString()
    with capture_logs() as lines:
        for number in range(100):
            made = channel.stream_unary("/runstore.Probe/ClientStream")()
            for _ in range(number % 4):
                await made.write(data)
            if number % 2:
                await asyncio.sleep(0)
            made.cancel()
        made = channel.stream_unary("/runstore.Probe/ClientStream")()
        await made.write(data)
        await made.done_writing()
        await made

    assert ENDED == ["fine"]
    assert {line["log_level"] for line in lines} == {"debug"}


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_compressed_request_is_read(channel, shape) -> None:
    request = rpc.GetRunRequest(run_id="fine", project="x" * 500)

    await finish(call(channel, shape, request, compression=grpc.Compression.Gzip))


@pytest.mark.parametrize("shape", SHAPES[:3])
async def test_a_request_is_decompressed_up_to_the_limit_and_no_further(channel, shape) -> None:
    bomb = rpc.GetRunRequest(run_id="fine", project="x" * 1_000_000)

    error = await refusal(call(channel, shape, bomb, compression=grpc.Compression.Gzip))

    assert error.reason == "MESSAGE_TOO_LARGE"
    assert error.metadata == {"limit_bytes": str(LIMIT), "size_bytes": str(LIMIT + 1)}


LARGE = rpc.GetRunRequest(run_id="fine", project="x" * 200)


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
@pytest.mark.parametrize("shape", SHAPES[:3])
async def test_a_large_request_is_decoded_if_it_has_no_more_fields_than_it_may(
    channel, shape, compression, monkeypatch
) -> None:
    monkeypatch.setattr(requests, "LARGE_BYTES", 100)
    monkeypatch.setattr(requests, "MAX_FIELDS", 2)
    more = LARGE.SerializeToString() + b"\x12\x04fine"

    (answer,) = await finish(call(channel, shape, LARGE, compression=compression))
    error = await refusal(call(channel, shape, more, compression=compression))

    assert answer.run.run_id == "fine"
    assert error.reason == "INVALID_REQUEST"
    assert error.violations[0][0] == "GetRunRequest"


@pytest.mark.parametrize("damaged", [b"\x1f\x8b", gzip.compress(b"x" * 100, mtime=0)[:-9]])
async def test_what_cannot_be_decompressed_is_malformed(channel, damaged) -> None:
    error = await refusal(call(channel, "Unary", damaged))

    assert error.reason == "MALFORMED_MESSAGE"
