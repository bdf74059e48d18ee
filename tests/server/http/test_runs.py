"""Runs are listed, filtered, paged and read whole over HTTP."""

import pytest
import runstore
from runstore_server.http.models.outputs import OutputAnswer
from runstore_server.http.models.payloads import PayloadModel
from runstore_server.http.models.problems import Problem
from runstore_server.http.models.runs import RunAnswer, RunList, VerificationAnswer
from runstore_server.http.models.snapshots import SnapshotAnswer, SnapshotList

PATH = "/api/v1/runs"
ODD_IDS = ["a/b", "a/events", "events", "ü 1", "%2F", "a%2Fb", "a?b#c", "a+b", "..a", "a//b", "😀"]


def path_of(run_id: str, suffix: str = "") -> str:
    return f"{PATH}/{runstore_quoted(run_id)}{suffix}"


def runstore_quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


async def ids(http, **query) -> list[str]:
    answer = await http.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    return [run["run_id"] for run in answer.json()["runs"]]


@pytest.fixture
async def five(client) -> None:
    """run0 ... run4, the odd ones tagged."""
    for number in range(5):
        run = await client.save_run(
            f"number {number}",
            run_id=f"run{number}",
            plan_id="p" if number == 1 else "",
            tags=["all", "odd"] if number % 2 else ["all"],
            labels={"n": str(number), "k=v": "a=b"},
            parent_run_id="run0" if number == 4 else "",
        )
        if number == 2:
            await run.append("call", model="m", tool="t")
        if number == 3:
            await run.complete(runstore.Outcome.FAILED)


async def test_runs_are_listed_newest_first_as_the_model_says(http, five) -> None:
    answer = await http.get(PATH)

    found = RunList.model_validate_json(answer.text)
    assert [run.run_id for run in found.runs] == [f"run{n}" for n in (4, 3, 2, 1, 0)]
    assert [run.success for run in found.runs] == [None, False, None, None, None]
    assert (found.limit, found.offset, found.next_page_token) == (20, 0, None)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


async def test_every_filter_selects(http, five) -> None:
    third = (await http.get(f"{PATH}/run2")).json()["run"]["created_at"]

    assert await ids(http, status="running", order="created_asc") == [
        "run0",
        "run1",
        "run2",
        "run4",
    ]
    assert await ids(http, status=["RUN_STATUS_FAILED", "Cancelled"]) == ["run3"]
    assert await ids(http, tag=["all", "odd"]) == ["run3", "run1"]
    assert await ids(http, label=["n=2", "k=v=a=b"]) == []
    assert await ids(http, label=["n=2"]) == ["run2"]
    assert await ids(http, plan_id="p") == ["run1"]
    assert await ids(http, model="m", tool="t") == ["run2"]
    assert await ids(http, model="m", tool="other") == []
    assert await ids(http, parent_run_id="run0") == ["run4"]
    assert await ids(http, created_before=third) == ["run1", "run0"]
    assert await ids(http, created_from=third, tag="odd") == ["run3"]


async def test_runs_are_found_by_relation_time_and_words(http, client, five) -> None:
    ref = runstore.ExternalRef("jira", "X-1")
    await client.save_run("the red fox", run_id="x", external_ref=ref)
    done = (await http.get(f"{PATH}/run3")).json()["run"]["completed_at"]

    assert await ids(http, any_tag=["odd", "none"]) == ["run3", "run1"]
    assert await ids(http, root_run_id="run0") == ["run4", "run0"]
    assert await ids(http, external_system="jira", external_id="X-1") == ["x"]
    assert await ids(http, external_system="jira", external_id="X-2") == []
    assert await ids(http, objective='"red fox" -blue') == ["x"]
    assert await ids(http, completed_from=done) == ["run3"]
    assert await ids(http, completed_before=done) == []
    assert await ids(http, updated_before="2020-01-01T00:00:00Z") == []
    assert len(await ids(http, updated_from="2020-01-01T00:00:00Z")) == 6
    assert await ids(http, config_kind="prompt", config_name="none") == []
    assert await ids(http, order="completed_desc") == ["run3"]
    assert (await ids(http, order="updated_asc"))[-1] == "x"
    assert (await ids(http, order="updated_desc"))[0] == "x"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"external_id": "X"}, "external_id"),
        ({"config_name": "n"}, "config_kind"),
        ({"updated_from": "now"}, "updated_from"),
        ({"objective": "x" * 1001}, "objective"),
        ({"order": "by_chance"}, "order"),
    ],
)
async def test_a_meaningless_filter_is_refused_by_name(http, asked, field) -> None:
    answer = await http.get(PATH, params=asked)

    assert [each["field"] for each in answer.json()["violations"]] == [field]


async def test_offsets_and_tokens_page_through_the_same_list(http, five) -> None:
    first = (await http.get(PATH, params={"limit": 2, "offset": 1})).json()
    token = first["next_page_token"]
    rest = (await http.get(PATH, params={"limit": 2, "page_token": token})).json()

    assert [run["run_id"] for run in first["runs"]] == ["run3", "run2"]
    assert (first["limit"], first["offset"]) == (2, 1)
    assert [run["run_id"] for run in rest["runs"]] == ["run1", "run0"]
    assert rest["next_page_token"] is None
    assert await ids(http, offset=5) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 10_001}, "offset"),
        ({"order": "random"}, "order"),
        ({"status": ["running", "odd"]}, "status[1]"),
        ({"status": "unspecified"}, "status[0]"),
        ({"label": "novalue"}, "label[0]"),
        ({"label": ["a=1", "a=2"]}, "label[1]"),
        ({"tag": ""}, "tag[0]"),
        ({"tag": "x" * 201}, "tag[0]"),
        ({"tag": ["t"] * 65}, "tag"),
        ({"plan_id": "a\0b"}, "plan_id"),
        ({"created_from": "yesterday"}, "created_from"),
        ({"created_before": "1700000000"}, "created_before"),
        ({"page_token": "forged"}, "page_token"),
        ({"project": "x" * 201}, "project"),
        ({"project": "another"}, "project"),
    ],
)
async def test_a_violation_has_the_name_of_its_parameter(http, query, field) -> None:
    answer = await http.get(PATH, params=query)

    problem = Problem.model_validate_json(answer.text)
    assert (answer.status_code, problem.status, problem.reason) == (400, 400, "INVALID_REQUEST")
    assert [violation.field for violation in problem.violations] == [field]


async def test_a_token_serves_only_the_query_it_was_issued_for(http, five) -> None:
    token = (await http.get(PATH, params={"limit": 1})).json()["next_page_token"]

    other = await http.get(PATH, params={"tag": "all", "page_token": token})
    both = await http.get(PATH, params={"offset": 1, "page_token": token})

    assert other.json()["violations"][0]["field"] == "page_token"
    assert "page_token" in both.json()["violations"][0]["description"]
    assert "next_page_token" in (await http.get(PATH, params={"offset": 10_001})).json()["detail"]


async def test_a_project_is_named_by_header_or_query_and_sees_its_own_runs(
    http, client, project
) -> None:
    await client.save_run(run_id="run")
    del http.headers["X-Runstore-Project"]

    assert await ids(http, project=project) == ["run"]
    assert (await http.get(f"{PATH}/run")).json()["metadata"] == {
        "project": "default",
        "run_id": "run",
    }
    for bad, field in (("bad project", "project"), (b"\xff", "X-Runstore-Project")):
        refused = await http.get(PATH, headers={"X-Runstore-Project": bad})
        assert refused.json()["violations"][0]["field"] == field


async def test_a_project_of_any_script_is_named_by_header_or_query(
    http, server_address, project
) -> None:
    named = f"{project}/Käufe日本"
    async with runstore.connect(server_address, project=named) as other:
        await other.save_run(run_id="run")
    del http.headers["X-Runstore-Project"]

    assert await ids(http, project=named) == ["run"]
    by_header = await http.get(PATH, headers={"X-Runstore-Project": named.encode()})
    assert [run["run_id"] for run in by_header.json()["runs"]] == ["run"]


async def test_a_run_is_read_in_full(http, client) -> None:
    run = await client.save_run(
        "answer",
        run_id="run",
        plan={"steps": [1]},
        external_ref=runstore.ExternalRef("engine", "7", "http://e/7"),
        config_refs=[runstore.ConfigRef("prompt", "main", 3, "sha")],
    )
    await run.append("call", usage=runstore.Usage(input_tokens=3, cost_micros=5))
    await run.snapshot(nodes=[runstore.PlanNode("n")], namespace="graph", pending_node_ids=["n"])
    before = RunAnswer.model_validate_json((await http.get(f"{PATH}/run")).text).run
    await run.complete(payload={"answer": 42}, statistics={"calls": 1})
    await run.complete(payload={"answer": 43})

    answer = await http.get(f"{PATH}/run")

    found = RunAnswer.model_validate_json(answer.text).run
    assert (before.output, before.execution_result, before.success) == (None, None, None)
    assert found.plan == found.plan_result == PayloadModel(json={"steps": [1]})
    assert found.execution_result == PayloadModel(json={"answer": 43})
    assert found.output
    assert (found.output.revision, found.output.outcome) == (2, "succeeded")
    assert (found.status, found.success, found.last_seq) == ("succeeded", True, 2)
    assert (found.usage.input_tokens, found.usage.cost_micros) == (3, 5)
    assert found.latest_snapshot
    assert (found.latest_snapshot.namespace, found.latest_snapshot.node_count) == ("graph", 1)
    assert found.latest_snapshot.pending_node_ids == ["n"]
    assert found.external_ref
    assert found.config_refs[0].version == 3
    assert "parts" not in answer.json()["run"]["latest_snapshot"]


@pytest.mark.parametrize("run_id", ODD_IDS)
async def test_a_run_id_may_hold_any_characters(http, client, run_id: str) -> None:
    run = await client.save_run(run_id=run_id)
    await run.append("tick")
    await run.snapshot(snapshot_id=run_id)
    await run.complete()

    shown = (await http.get(path_of(run_id))).json()["run"]
    events = (await http.get(path_of(run_id, "/events"))).json()
    snapshot = await http.get(path_of(run_id, f"/snapshots/{runstore_quoted(run_id)}"))
    output = (await http.get(path_of(run_id, "/output"))).json()
    verdict = (await http.get(path_of(run_id, "/verify"))).json()

    assert shown["run_id"] == run_id
    assert [event["type"] for event in events["events"]] == ["tick", "run.completed"]
    assert snapshot.json()["snapshot"]["snapshot_id"] == run_id
    assert output["output"]["revision"] == 1
    assert verdict["verified"]


async def test_a_chain_is_verified_in_steps(http, client) -> None:
    run = await client.save_run(run_id="run")
    await run.append_many([runstore.NewEvent("tick") for _ in range(5)])

    whole = await http.get(f"{PATH}/run/verify")
    part = await http.get(f"{PATH}/run/verify", params={"from_seq": 2, "max_events": 2})

    found = VerificationAnswer.model_validate_json(whole.text)
    assert (found.verified, found.checked_events, found.last_seq) == (True, 5, 5)
    assert part.json()["next_from_seq"] == 4


async def test_an_output_is_read_by_revision(http, client) -> None:
    run = await client.save_run(run_id="run")
    missing = await http.get(f"{PATH}/run/output")
    await run.complete(payload={"answer": 42}, provenance={"by": "me"})
    await run.complete(payload={"answer": 43})

    latest = OutputAnswer.model_validate_json((await http.get(f"{PATH}/run/output")).text)
    first = (await http.get(f"{PATH}/run/output", params={"revision": 1})).json()["output"]
    other = await http.get(f"{PATH}/run/output", params={"revision": 3})

    assert (missing.status_code, missing.json()["reason"]) == (404, "OUTPUT_NOT_FOUND")
    assert latest.output.revision == 2
    assert first["payload"]["json"] == {"answer": 42}
    assert other.json()["metadata"]["revision"] == "3"


async def test_snapshots_are_listed_newest_first_and_read_in_full(http, client) -> None:
    run = await client.save_run(run_id="run")
    none_yet = await http.get(f"{PATH}/run/snapshots/latest")
    for number in range(3):
        await run.append("tick")
        await run.snapshot(
            snapshot_id=f"s{number}",
            namespace="graph" if number == 2 else "",
            nodes=[runstore.PlanNode("n", state={"n": number})],
            state={"x": number},
            metadata={"m": number},
        )

    first = await http.get(f"{PATH}/run/snapshots", params={"limit": 2})
    page = SnapshotList.model_validate_json(first.text)
    token = {"limit": 2, "page_token": page.next_page_token}
    rest = (await http.get(f"{PATH}/run/snapshots", params=token)).json()
    named = (await http.get(f"{PATH}/run/snapshots", params={"namespace": ""})).json()
    whole = await http.get(f"{PATH}/run/snapshots/s1")
    latest = (await http.get(f"{PATH}/run/snapshots/latest")).json()["snapshot"]
    of_graph = await http.get(f"{PATH}/run/snapshots/s2", params={"namespace": "graph"})

    assert (none_yet.status_code, none_yet.json()["reason"]) == (404, "SNAPSHOT_NOT_FOUND")
    assert [each.snapshot_id for each in page.snapshots] == ["s2", "s1"]
    assert [each.node_count for each in page.snapshots] == [1, 1]
    assert [each["snapshot_id"] for each in rest["snapshots"]] == ["s0"]
    assert [each["snapshot_id"] for each in named["snapshots"]] == ["s1", "s0"]
    found = SnapshotAnswer.model_validate_json(whole.text).snapshot
    assert found.state["x"] == PayloadModel(json=1)
    assert found.nodes[0].state == PayloadModel(json={"n": 1})
    assert (latest["snapshot_id"], latest["state"]["x"]["json"]) == ("s2", 2)
    assert of_graph.json()["snapshot"]["namespace"] == "graph"
    assert (await http.get(f"{PATH}/run/snapshots/s2")).status_code == 404


async def test_a_namespace_may_be_as_long_as_over_grpc(http, client) -> None:
    run = await client.save_run(run_id="run")
    longest = "n" * 400
    await run.snapshot(snapshot_id="s", namespace=longest)

    found = await http.get(f"{PATH}/run/snapshots", params={"namespace": longest})
    refused = await http.get(f"{PATH}/run/snapshots", params={"namespace": longest + "n"})

    assert [each.namespace for each in SnapshotList.model_validate_json(found.text).snapshots] == [
        longest
    ]
    assert Problem.model_validate_json(refused.text).violations[0].field == "namespace"
