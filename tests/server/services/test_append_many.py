"""AppendMany makes appends that share a request, each of which is decided by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from runstore.errors import InvalidRequest, RunstoreError, from_rpc, from_status
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event
from runstore.v1.payloads_pb2 import Payload


@pytest.fixture
async def runs(stub: Any, project: str) -> tuple[str, ...]:
    """Four runs: a running one, a busy one, a completed one, a resumed one."""
    names = ("free", "busy", "completed", "resumed")
    for run_id in names:
        await stub.SaveRun(rpc.SaveRunRequest(project=project, run_id=run_id))
    first = rpc.AppendEventRequest(project=project, run_id="busy", event=Event(type="first"))
    await stub.AppendEvent(first)
    await stub.CompleteRun(rpc.CompleteRunRequest(project=project, run_id="completed", outcome=1))
    await stub.ResumeRun(rpc.ResumeRunRequest(project=project, run_id="resumed"))
    return names


def append(run_id: str, event_id: str = "", **fields: Any) -> rpc.AppendEventRequest:
    guard = {name: fields.pop(name) for name in ("expected_seq", "writer_epoch") if name in fields}
    event = Event(**{"type": "t", "event_id": event_id} | fields)
    return rpc.AppendEventRequest(run_id=run_id, event=event, **guard)


async def send(stub: Any, project: str, *appends: rpc.AppendEventRequest) -> list[Any]:
    answer = await stub.AppendMany(rpc.AppendManyRequest(project=project, appends=appends))
    return list(answer.results)


async def refusal_of_append_event(
    stub: Any, project: str, append: rpc.AppendEventRequest
) -> RunstoreError:
    request = rpc.AppendEventRequest()
    request.CopyFrom(append)
    request.project = project
    with pytest.raises(grpc.RpcError) as failed:
        await stub.AppendEvent(request)
    return from_rpc(failed.value)


REFUSED = {
    "RUN_NOT_FOUND": append("nobody"),
    "INVALID_REQUEST": append("free", type="", tags=[""], model="m" * 201),
    "SEQ_CONFLICT": append("busy", expected_seq=77),
    "RUN_COMPLETED": append("completed"),
    "WRITER_FENCED": append("resumed", writer_epoch=1),
    "WRITER_EPOCH_UNKNOWN": append("resumed", writer_epoch=9),
}


async def test_each_append_is_answered_or_refused_as_a_call_of_its_own_would_be(
    stub: Any, project: str, runs: tuple[str, ...]
) -> None:
    taken = [append("free", f"e{number}") for number in range(len(REFUSED))]
    appends = [each for pair in zip(taken, REFUSED.values(), strict=True) for each in pair]

    results = await send(stub, project, *appends)

    assert [each.appended.seq for each in results[::2]] == [1, 2, 3, 4, 5, 6]
    for result, reason in zip(results[1::2], REFUSED, strict=True):
        told = from_status(result.error)
        alone = await refusal_of_append_event(stub, project, REFUSED[reason])
        assert told.reason == reason
        assert (type(told), told.code, told.violations) == (
            type(alone),
            alone.code,
            alone.violations,
        )
        assert (str(told), told.metadata) == (str(alone), alone.metadata)
        assert told.request_id


async def test_the_answer_is_where_each_event_is_recorded(
    stub: Any, project: str, runs: tuple[str, ...]
) -> None:
    results = await send(
        stub, project, append("free", "a"), append("busy", "b"), append("free", "c"), append("busy")
    )

    recorded = {}
    for run_id in ("free", "busy"):
        page = await stub.ListEvents(rpc.ListEventsRequest(project=project, run_id=run_id))
        recorded |= {each.event_id: each for each in page.events}
    for result in results:
        answer, event = result.appended, recorded[result.appended.event_id]
        assert (answer.seq, answer.hash, answer.recorded_at) == (
            event.seq,
            event.hash,
            event.recorded_at,
        )
    assert [each.appended.seq for each in results] == [1, 2, 2, 3]
    assert [each.appended.event_id for each in results[:3]] == ["a", "b", "c"]


async def test_a_repeated_request_gets_the_first_answers(
    stub: Any, project: str, runs: tuple[str, ...]
) -> None:
    appends = [append("free", "a"), append("busy", "b"), append("free", "c", expected_seq=1)]
    first = await send(stub, project, *appends)

    again = await send(stub, project, append("free", "d"), *appends)

    assert again[0].appended.seq == 3
    assert [each.appended.seq for each in again[1:]] == [each.appended.seq for each in first]
    assert [each.appended.deduplicated for each in again] == [False, True, True, True]


async def test_an_event_id_in_a_request_twice_is_known_the_second_time(
    stub: Any, project: str, runs: tuple[str, ...]
) -> None:
    results = await send(
        stub, project, append("free", "a"), append("free", "a"), append("free", "a", type="other")
    )

    assert [each.appended.deduplicated for each in results[:2]] == [False, True]
    assert from_status(results[2].error).reason == "IDEMPOTENCY_MISMATCH"


async def test_no_append_overtakes_another_of_its_run_however_large(
    stub: Any, project: str, runs: tuple[str, ...]
) -> None:
    large = Payload(json='"' + "x" * (1 << 20) + '"')
    appends = [
        append(run_id, f"{run_id}{number}", **({} if number % 3 else {"payload": large}))
        for number in range(6)
        for run_id in ("free", "busy")
    ]

    results = await send(stub, project, *appends)

    assert [each.appended.seq for each in results[::2]] == [1, 2, 3, 4, 5, 6]
    assert [each.appended.seq for each in results[1::2]] == [2, 3, 4, 5, 6, 7]


async def test_requests_side_by_side_lose_and_repeat_nothing(
    stub: Any, project: str, runs: tuple[str, ...]
) -> None:
    answers = await asyncio.gather(
        *(send(stub, project, *(append("free") for _ in range(50))) for _ in range(20))
    )

    seqs = [[each.appended.seq for each in results] for results in answers]
    assert sorted(seq for each in seqs for seq in each) == list(range(1, 1001))
    assert all(each == sorted(each) for each in seqs)


@pytest.mark.parametrize(
    ("appends", "field"),
    [
        ([], "appends"),
        ([append("free")] * 1001, "appends"),
        (
            [append("free"), rpc.AppendEventRequest(project="other", run_id="free")],
            "appends[1].project",
        ),
    ],
)
async def test_a_request_of_no_append_of_too_many_or_of_two_projects_is_refused_whole(
    stub: Any, project: str, runs: tuple[str, ...], appends: list[Any], field: str
) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        await send(stub, project, *appends)

    refused = from_rpc(failed.value)
    assert isinstance(refused, InvalidRequest)
    assert [name for name, _ in refused.violations] == [field]
    run = await stub.GetRun(rpc.GetRunRequest(project=project, run_id="free"))
    assert run.run.last_seq == 0


async def test_the_default_project_may_be_named_or_not(stub: Any) -> None:
    run_id = (await stub.SaveRun(rpc.SaveRunRequest())).run.run_id
    named = append(run_id)
    named.project = "default"

    for project in ("", "default"):
        results = await send(stub, project, append(run_id), named)
        assert all(each.HasField("appended") for each in results)
