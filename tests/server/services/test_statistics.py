"""GetStatistics over a server that counts, as clients of both kinds use it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest
import runstore
from runstore import Client, NewEvent, StatisticsRow, Usage
from runstore.v1 import statistics_pb2 as rpc


async def collected(rows: AsyncIterator[StatisticsRow]) -> list[StatisticsRow]:
    return [row async for row in rows]


@pytest.fixture
async def counted(client: runstore.AsyncClient) -> str:
    """Two runs, one below the other, whose events are counted."""
    root = await client.save_run(run_id="root", labels={"team": "red"}, tags=["t"])
    below = await client.save_run(run_id="below", parent_run_id="root", plan_id="plan")
    usage = Usage(10, 2, 1, 300, timedelta(milliseconds=5))
    await root.append_many(
        [
            NewEvent("model.called", model="m", node_id="n", usage=usage),
            NewEvent("tool.called", tool="look"),
            NewEvent("tool.failed", tool="look"),
        ]
    )
    last = await below.append_many([NewEvent("tool.called", tool="look", usage=usage)])
    await collected(client.statistics(after=("below", last[0].seq), wait_seconds=30))
    return client.project


async def test_a_row_says_what_was_used(counted: str, client: runstore.AsyncClient) -> None:
    (row,) = await collected(client.statistics())

    assert (row.events, row.errors, row.tool_calls, row.runs) == (4, 1, 2, 2)
    assert row.usage == Usage(20, 4, 2, 600, timedelta(milliseconds=10))
    assert (row.run_id, row.model, row.day) == ("", "", None)


async def test_rows_differ_by_their_dimensions_and_are_in_order(
    counted: str, client: runstore.AsyncClient
) -> None:
    by_day = await collected(client.statistics(["day"]))
    by_two = await collected(client.statistics(["tool", "run"], page_size=1))
    by_label = await collected(client.statistics(label_key="team"))
    by_root = await collected(client.statistics(["run"], roll_up_to_root=True))

    today = datetime.now(UTC).date()
    assert {row.day for row in by_day} <= {today, today - timedelta(1)}
    assert [(row.run_id, row.tool, row.events) for row in by_two] == [
        ("below", "look", 1),
        ("root", "", 1),
        ("root", "look", 2),
    ]
    assert [(row.label_value, row.runs) for row in by_label] == [("", 1), ("red", 1)]
    assert [(row.run_id, row.runs, row.events) for row in by_root] == [("root", 2, 4)]


@pytest.mark.parametrize(
    ("where", "events"),
    [
        ({"run_ids": ["root"]}, 3),
        ({"run_ids": ["root"], "include_descendants": True}, 4),
        ({"run_ids": ["none"]}, 0),
        ({"plan_id": "plan"}, 1),
        ({"labels": {"team": "red"}}, 3),
        ({"tags": ["t"]}, 3),
        ({"types": ["tool.called", "tool.failed"]}, 3),
        ({"models": ["m"]}, 1),
        ({"tools": ["look"], "run_ids": ["root"]}, 2),
        ({"node_ids": ["n"]}, 1),
        ({"from_day": datetime.now(UTC).date() + timedelta(2)}, 0),
        ({"to_day": datetime.now(UTC).date() + timedelta(2)}, 4),
    ],
)
async def test_filters_select(
    counted: str,
    client: runstore.AsyncClient,
    where: runstore.StatisticsFields,
    events: int,
) -> None:
    (row,) = await collected(client.statistics(**where))

    assert row.events == events


async def test_a_request_is_bounded(stub: object) -> None:
    request = rpc.GetStatisticsRequest(page_size=1001, include_descendants=True)
    request.group_by.extend([2, 2, 3])
    request.label_key, request.roll_up_to_root = "k", True
    request.filter.from_day, request.filter.to_day = "2026-02-30", "20260101"
    request.wait.FromSeconds(31)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetStatistics(request)

    fields = {field for field, _ in runstore.errors.from_rpc(caught.value).violations}
    assert fields == {
        *("page_size", "include_descendants", "group_by", "label_key", "roll_up_to_root"),
        *("filter.from_day", "filter.to_day", "wait"),
    }


async def test_a_token_of_another_question_is_refused(counted: str, stub: object) -> None:
    request = rpc.GetStatisticsRequest(project=counted, group_by=[1], page_size=1)
    first = await stub.GetStatistics(request)
    request.page_token = first.next_page_token
    second = await stub.GetStatistics(request)
    request.filter.tools.append("look")

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetStatistics(request)

    assert [row.run_id for row in (*first.rows, *second.rows)] == ["below", "root"]
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert first.counted_position > 0


async def test_keys_of_any_length_are_paged(client: runstore.AsyncClient) -> None:
    for number in range(3):
        run = await client.save_run(run_id=f"r{number}", labels={"k": f"{number}" + "字" * 999})
        last = await run.append("\U0001f680" * 199 + str(number), tool="字" * 200)
        await collected(client.statistics(after=(run.run_id, last.seq), wait_seconds=30))

    rows = await collected(client.statistics(["type", "tool"], label_key="k", page_size=1))

    assert [row.label_value[0] for row in rows] == ["0", "1", "2"]


async def test_waiting_too_long_says_how_far_it_is(
    counted: str, client: runstore.AsyncClient
) -> None:
    with pytest.raises(runstore.StatisticsBehind) as behind:
        await collected(client.statistics(min_position=1 << 60, wait_seconds=0))
    with pytest.raises(runstore.RunNotFound):
        await collected(client.statistics(after=("none", 1)))

    assert behind.value.counted_position >= 4


async def test_the_synchronous_client_counts_too(counted: str, server_address: str) -> None:
    def ask() -> list[tuple[str, int]]:
        with Client(server_address, project=counted) as sync:
            return [(row.run_id, row.events) for row in sync.statistics(["run"], page_size=1)]

    assert await asyncio.wait_for(asyncio.to_thread(ask), 60) == [("below", 1), ("root", 3)]
