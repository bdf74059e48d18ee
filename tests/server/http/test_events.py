"""Events are read by page over HTTP."""

import pytest
import runstore
from runstore_server.http.models.events import EventList

RUN = "/api/v1/runs/run"


@pytest.fixture
async def run(client) -> runstore.AsyncRun:
    return await client.save_run(run_id="run")


async def page(http, **query) -> tuple[list[int], int | None]:
    answer = await http.get(f"{RUN}/events", params=query)
    found = EventList.model_validate_json(answer.text)
    return [event.seq for event in found.events], found.next_from_seq


async def test_pages_follow_each_other_by_seq(http, run) -> None:
    await run.append_many([runstore.NewEvent("tick") for _ in range(5)])

    assert await page(http, limit=2) == ([1, 2], 3)
    assert await page(http, limit=2, from_seq=3) == ([3, 4], 5)
    assert await page(http, limit=2, fromSeq=5) == ([5], None)
    assert await page(http, from_seq=0) == ([1, 2, 3, 4, 5], None)
    assert await page(http, from_seq=9) == ([], None)


async def test_filters_select_as_over_grpc(http, run) -> None:
    await run.append("a", node_id="n", tags=["x", "y"])
    await run.append("b", node_id="m", tags=["x"])
    await run.append("c", node_id="n")

    assert await page(http, type=["a", "b"]) == ([1, 2], None)
    assert await page(http, node_id="n") == ([1, 3], None)
    assert await page(http, tag=["x", "y"]) == ([1], None)
    assert await page(http, type="nothing") == ([], None)


async def test_an_event_has_every_field_that_its_writer_set(http, run) -> None:
    await run.append(
        "call",
        {"q": 1},
        node_id="n",
        actor="me",
        model="m",
        tool="t",
        tags=["x"],
        usage=runstore.Usage(input_tokens=1, output_tokens=2, cost_micros=3),
    )
    (recorded,) = [event async for event in run.events()]

    answer = await http.get(f"{RUN}/events")

    (event,) = EventList.model_validate_json(answer.text).events
    assert (event.event_id, event.type, event.hash) == (
        recorded.event_id,
        "call",
        recorded.hash.hex(),
    )
    assert (event.node_id, event.actor, event.model, event.tool) == ("n", "me", "m", "t")
    assert event.usage
    assert event.usage.output_tokens == 2
    assert event.recorded_at == recorded.recorded_at
    assert answer.json()["events"][0]["recorded_at"].endswith("Z")
    assert answer.headers["vary"] == "Accept"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"from_seq": -1}, "from_seq"),
        ({"from_seq": 2**63}, "from_seq"),
        ({"fromSeq": "x"}, "fromSeq"),
        ({"from_seq": 1, "fromSeq": 2}, "fromSeq"),
        ({"type": ["a", ""]}, "type[1]"),
        ({"node_id": "x" * 201}, "node_id[0]"),
        ({"heartbeat": 0}, "heartbeat"),
    ],
)
async def test_bounds_are_kept(http, run, query, field) -> None:
    answer = await http.get(f"{RUN}/events", params=query)

    assert answer.status_code == 400
    assert answer.json()["violations"][0]["field"] == field


async def test_reading_may_begin_at_the_largest_seq(http, run) -> None:
    assert await page(http, from_seq=2**63 - 1) == ([], None)
