"""Statistics over HTTP, with the parameters of GetStatistics."""

import pytest
from runstore import NewEvent, Usage
from runstore_server.http.models.statistics import StatisticsAnswer

PATH = "/api/v1/statistics"


@pytest.fixture
async def counted(http, client) -> None:
    run = await client.save_run(run_id="a/b", labels={"team": "red"})
    child = await client.save_run(run_id="child", parent_run_id="a/b")
    await run.append_many([NewEvent("tool.called", tool="x", usage=Usage(1))] * 2)
    last = await child.append("tool.error", tool="x", model="m")
    after = {"after_run_id": "child", "after_seq": last.seq, "wait": 30}
    answer = await http.get(PATH, params=after)
    assert answer.status_code == 200, answer.text


async def test_rows_are_as_the_model_says(http, counted) -> None:
    answer = await http.get(PATH, params={"group_by": ["run", "tool"], "label_key": "team"})

    found = StatisticsAnswer.model_validate_json(answer.text)
    assert [(row.run_id, row.tool, row.label_value, row.events) for row in found.rows] == [
        ("a/b", "x", "red", 2),
        ("child", "x", "", 1),
    ]
    assert (found.rows[0].tool_calls, found.rows[1].errors) == (2, 1)
    assert found.rows[0].usage.input_tokens == 2
    assert found.rows[0].model is None
    assert found.counted_position >= 3


@pytest.mark.parametrize(
    ("asked", "events"),
    [
        ({"run_id": "a/b"}, 2),
        ({"run_id": "a/b", "include_descendants": "true"}, 3),
        ({"label": "team=red"}, 2),
        ({"tag": "none"}, 0),
        ({"type": ["tool.error", "x"]}, 1),
        ({"model": "m", "tool": "x"}, 1),
        ({"node_id": "none"}, 0),
        ({"plan_id": "none"}, 0),
        ({"to_day": "2020-01-01"}, 0),
        ({"from_day": "2020-01-01"}, 3),
    ],
)
async def test_every_filter_selects(http, counted, asked, events) -> None:
    (row,) = (await http.get(PATH, params=asked)).json()["rows"]

    assert row["events"] == events


async def test_pages_join_to_the_whole(http, counted) -> None:
    asked = {"group_by": "run", "limit": 1}
    first = (await http.get(PATH, params=asked)).json()
    rest = (await http.get(PATH, params={**asked, "page_token": first["next_page_token"]})).json()

    assert [row["run_id"] for row in (*first["rows"], *rest["rows"])] == ["a/b", "child"]
    assert rest["next_page_token"] is None


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"group_by": "nothing"}, "group_by[0]"),
        ({"group_by": ["run", "run"]}, "group_by"),
        ({"from_day": "yesterday"}, "from_day"),
        ({"to_day": "2026-1-1"}, "to_day"),
        ({"include_descendants": "true"}, "include_descendants"),
        ({"roll_up_to_root": "true"}, "roll_up_to_root"),
        ({"label": "team"}, "label[0]"),
        ({"after_seq": 1}, "after_seq"),
        ({"after_run_id": "a"}, "after_seq"),
        ({"limit": 1001}, "limit"),
        ({"page_token": "x"}, "page_token"),
    ],
)
async def test_a_bad_parameter_is_named(http, asked, field) -> None:
    answer = await http.get(PATH, params=asked)

    assert answer.status_code == 400, answer.text
    assert field in [each["field"] for each in answer.json()["violations"]]


async def test_a_wait_that_ends_too_soon_is_a_time_out(http) -> None:
    answer = await http.get(PATH, params={"min_position": 1 << 60, "wait": 0})

    assert (answer.status_code, answer.json()["reason"]) == (504, "STATISTICS_BEHIND")
