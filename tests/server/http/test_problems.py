"""Whatever goes wrong over HTTP is a problem document."""

import asyncio

import pytest
from grpc import StatusCode
from runstore_server.edge.errors import STATUS
from runstore_server.http.models.problems import Problem
from runstore_server.http.problems import HTTP_STATUS
from runstore_storage.contract.errors import StorageUnavailable
from structlog.testing import capture_logs

SECRET = "password=hunter2"  # what a driver's message may hold
RUN = "/api/v1/runs/run"


def problem_in(answer) -> Problem:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    found = Problem.model_validate_json(answer.text)
    assert found.status == answer.status_code
    assert found.request_id == answer.headers["x-request-id"]
    return found


async def test_a_refusal_has_the_reason_and_metadata_of_the_rpcs(http, project) -> None:
    answer = await http.get(RUN)

    found = problem_in(answer)
    assert (found.status, found.reason, found.title) == (404, "RUN_NOT_FOUND", "Run not found")
    assert found.type == "urn:runstore:reason:RUN_NOT_FOUND"
    assert found.metadata == {"project": project, "run_id": "run"}


def test_every_reason_has_an_http_status() -> None:
    assert {code for code, _ in STATUS.values()} <= HTTP_STATUS.keys()
    assert StatusCode.OK not in HTTP_STATUS


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/api/v1/runs/", "/api/v1/runs//events", "/api/v1/runs/a/b", "/docs/"]
)
async def test_an_unknown_path_is_a_problem(http, path) -> None:
    found = problem_in(await http.get(path))

    assert (found.status, found.type, found.reason) == (404, "about:blank", None)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "ODD"])
async def test_other_methods_are_refused(http, method) -> None:
    answer = await http.request(method, RUN)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    if method != "HEAD":
        assert problem_in(answer).title == "Method Not Allowed"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/runs/%FF", "path"),
        ("/api/v1/runs/a%00b", "run_id"),
        (f"/api/v1/runs/{'x' * 201}", "run_id"),
        (f"{RUN}/snapshots/{'x' * 201}", "snapshot_id"),
        (f"{RUN}/snapshots/a%00b", "snapshot_id"),
        (f"{RUN}/output?revision={2**31}", "revision"),
        (f"{RUN}/verify?max_events=1000001", "max_events"),
    ],
)
async def test_an_address_that_breaks_a_rule_is_refused(http, client, path, field) -> None:
    await client.save_run(run_id="run")

    found = problem_in(await http.get(path))

    assert (found.status, found.violations[0].field) == (400, field)


async def test_every_violation_is_reported_at_once(http) -> None:
    found = problem_in(await http.get("/api/v1/runs?limit=0&offset=x"))

    assert {violation.field for violation in found.violations} == {"limit", "offset"}


@pytest.mark.parametrize(("sent", "kept"), [("mine-1", True), ("", False), ("x" * 201, False)])
async def test_a_request_keeps_its_usable_id(http, sent, kept) -> None:
    answer = await http.get(RUN, headers={"X-Request-Id": sent})

    assert (problem_in(answer).request_id == sent) is kept
    assert (await http.get("/livez")).headers["x-request-id"]


async def test_a_defect_is_logged_whole_and_answered_bare(own_server) -> None:
    async with own_server() as own:

        async def broken(*_: object) -> None:
            raise RuntimeError(SECRET)

        own.store.get_run = broken
        with capture_logs() as lines:
            answer = await own.http.get(RUN)

    found = problem_in(answer)
    assert (found.status, found.reason) == (500, "INTERNAL")
    assert SECRET not in answer.text
    assert found.metadata == {"request_id": found.request_id}
    assert [str(line["exc_info"]) for line in lines if line["event"] == "defect"] == [SECRET]
    assert [line["log_level"] for line in lines if line["event"] == "request"] == ["error"]


async def test_a_database_that_is_away_is_unavailable(own_server) -> None:
    async with own_server() as own:

        async def away(*_: object) -> None:
            raise StorageUnavailable

        own.store.get_run = away
        found = problem_in(await own.http.get(RUN))

    assert (found.status, found.reason) == (503, "STORAGE_UNAVAILABLE")
    assert "write" not in found.detail


async def test_what_is_not_http_is_refused(http) -> None:
    reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)

    writer.write(b"\x16\x03\x01 not a request\r\n\r\n")

    assert (await reader.read()).startswith(b"HTTP/1.1 400")
    writer.close()
