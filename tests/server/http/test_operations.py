"""Probes, numbers and the description of the HTTP side."""

import asyncio
import json
import re

import httpx
import pytest
import runstore
from conftest import make_served_store
from runstore_server.app import App
from runstore_server.edge.listening import CannotBind
from runstore_server.sinks.settings import WebhookSinkSettings
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.feed import RELAY, SEARCH, sink_duty
from until import until


async def test_a_server_is_alive_and_ready(http) -> None:
    assert (await http.get("/livez")).status_code == 200

    async def is_ready() -> bool:
        return (await http.get("/readyz")).status_code == 200

    # As in test_a_serving_server_is_healthy.
    await until(is_ready)
    ready = (await http.get("/readyz")).json()
    assert ready["lag"].keys() == {"feed", "removals", "search", "stored_bytes", "usage_counts"}


async def test_readiness_follows_the_database(own_server) -> None:
    async with own_server() as own:
        check, is_away = own.store.check, asyncio.Event()

        async def check_or_fail() -> None:
            if is_away.is_set():
                raise StorageUnavailable
            await check()

        async def until(status: int) -> httpx.Response:
            async with asyncio.timeout(60):
                while (answer := await own.http.get("/readyz")).status_code != status:
                    pass
            return answer

        own.store.check = check_or_fail
        is_away.set()
        away = await until(503)
        alive = await own.http.get("/livez")
        is_away.clear()
        await until(200)

    assert away.json()["reason"] == "STORAGE_UNAVAILABLE"
    assert alive.status_code == 200


async def test_a_draining_server_is_alive_but_not_ready(own_server) -> None:
    async with own_server() as own:
        own.app._lifecycle.draining.set()

        ready = await own.http.get("/readyz")
        read = await own.http.get("/api/v1/runs")

        assert (ready.status_code, ready.json()["reason"]) == (503, "SERVER_DRAINING")
        assert (read.status_code, read.json()["reason"]) == (503, "SERVER_DRAINING")
        assert (await own.http.get("/livez")).status_code == 200
        await own.app.drain()


async def test_numbers_count_calls_requests_streams_and_events(own_server) -> None:
    async with own_server() as own:
        run = await own.client.save_run(run_id="run")
        event = runstore.NewEvent("tick", event_id="e")
        await run.append_many([event, runstore.NewEvent("tock", event_id="f")])
        await run.append(event)
        async with own.client.appender() as appender:
            await appender.append(run, "streamed")
        await asyncio.gather(*(run.append("together") for _ in range(3)))
        with pytest.raises(runstore.RunNotFound):
            await own.client.run("nobody").get()
        await own.http.get("/api/v1/runs/run")
        await own.http.get("/api/v1/runs/nobody")
        await own.http.request("ODD", "/nowhere")

        text = (await own.http.get("/metrics")).text

    numbers = dict(re.findall(r"^(\S+) (\S+)$", text, re.MULTILINE))
    assert numbers["runstore_appended_events_total"] == "6.0"
    assert numbers['runstore_grpc_calls_total{code="OK",method="SaveRun"}'] == "1.0"
    assert numbers['runstore_grpc_calls_total{code="NOT_FOUND",method="GetRun"}'] == "1.0"
    assert numbers['runstore_grpc_call_seconds_count{method="AppendEvents"}'] == "1.0"
    route = 'route="/api/v1/runs/{run_id}"'
    assert numbers[f'runstore_http_requests_total{{method="GET",{route},status="200"}}'] == "1.0"
    assert numbers[f'runstore_http_requests_total{{method="GET",{route},status="404"}}'] == "1.0"
    assert (
        numbers['runstore_http_requests_total{method="other",route="none",status="404"}'] == "1.0"
    )
    assert float(numbers["process_start_time_seconds"]) > 0


async def test_operators_see_how_far_the_work_on_the_feed_is_behind(own_server, own_schema) -> None:
    async with own_server(own_schema, relay=False) as own:
        run = await own.client.save_run(run_id="run")
        await run.append("tick")
        await own.store.feed.hold_duty(RELAY, "me")
        unpublished = await lags(own)
        await own.store.feed.publish("me")
        published = await lags(own)

    events = [{name: each["events"] for name, each in lag.items()} for lag in unpublished]
    assert (
        events
        == [{"feed": 1, "removals": 0, "search": 0, "stored_bytes": 0, "usage_counts": 0}] * 2
    )
    events = [{name: each["events"] for name, each in lag.items()} for lag in published]
    assert (
        events
        == [{"feed": 0, "removals": 0, "search": 1, "stored_bytes": 1, "usage_counts": 1}] * 2
    )
    assert all(lag["search"]["seconds"] > 0 for lag in published)


async def lags(own) -> tuple[dict, dict]:
    """As readiness and as the metrics say it."""
    text = (await own.http.get("/metrics")).text
    found = re.findall(r"^runstore_(\w+)_lag_(events|seconds) (\S+)$", text, re.MULTILINE)
    metrics: dict = {}
    for name, unit, value in found:
        metrics.setdefault(name, {})[unit] = float(value)
    return (await own.http.get("/readyz")).json()["lag"], metrics


def readiness(text: str) -> str:
    (found,) = re.findall(r"^runstore_ready (\S+)$", text, re.MULTILINE)
    return str(found)


async def test_metrics_say_whether_the_server_is_ready(own_server) -> None:
    async with own_server() as own:
        ready = (await own.http.get("/metrics")).text

        own.app._lifecycle.draining.set()
        draining = (await own.http.get("/metrics")).text

        assert (readiness(ready), readiness(draining)) == ("1.0", "0.0")
        assert "\nrunstore_warnings 0.0\n" in ready
        await own.app.drain()


async def test_metrics_say_whether_the_database_takes_writes(own_server) -> None:
    async with own_server() as own:

        async def away() -> None:
            raise StorageUnavailable

        own.store.check = away
        async with asyncio.timeout(60):
            while readiness((await own.http.get("/metrics")).text) == "1.0":
                pass


async def test_a_duty_that_any_process_holds_is_held(own_server, own_schema) -> None:
    async with own_server(own_schema, relay=False) as own:
        await own.store.feed.hold_duty(RELAY, "elsewhere")
        await own.store.feed.hold_duty(SEARCH, "elsewhere")
        await own.store.feed.release_duty(SEARCH, "elsewhere")

        text = (await own.http.get("/metrics")).text

    held = dict(re.findall(r'^runstore_duty_held{duty="([^"]+)"} (\S+)$', text, re.MULTILINE))
    led = dict(re.findall(r'^runstore_duty_leader{duty="([^"]+)"} (\S+)$', text, re.MULTILINE))
    assert held == {"relay": "1.0", "search": "0.0"}
    assert set(led.values()) == {"0.0"}


async def test_operators_see_how_far_a_sink_is_behind_and_what_it_gave_up(
    own_server, own_schema
) -> None:
    sink = WebhookSinkSettings(kind="webhook", name="billing", url="http://127.0.0.1:1")
    async with own_server(own_schema, relay=False, sinks=(sink,)) as own:
        run = await own.client.save_run(run_id="run")
        await run.append_many([runstore.NewEvent("tick"), runstore.NewEvent("tock")])
        feed = own.store.feed
        await feed.hold_duty(RELAY, "me")
        await feed.publish("me")
        await feed.hold_duty(sink_duty("billing"), "me")
        own.app.relay.buried["billing"] += 3
        text = (await own.http.get("/metrics")).text
        behind = sink_lag(text)
        await feed.advance_duty(sink_duty("billing"), "me", 2)
        delivered = sink_lag((await own.http.get("/metrics")).text)

    assert '\nrunstore_dead_letters_total{sink="billing"} 3.0\n' in text
    assert (behind["events"], delivered) == (2, {"events": 0, "seconds": 0})
    assert behind["seconds"] > 0


def sink_lag(text: str) -> dict[str, float]:
    found = re.findall(r'^runstore_sink_lag_(\w+){sink="billing"} (\S+)$', text, re.MULTILINE)
    return {unit: float(value) for unit, value in found}


async def test_metrics_say_how_many_connections_a_process_takes(own_server) -> None:
    async with own_server(http_connections=77) as own:
        text = (await own.http.get("/metrics")).text

    assert '\nrunstore_open_streams_limit{kind="sse"} 77.0\n' in text


async def test_the_description_names_every_route_with_its_bounds_and_problems(http) -> None:
    document = (await http.get("/openapi.json")).json()

    paths = document["paths"]
    run = "/api/v1/runs/{run_id}"
    assert sorted(paths) == sorted(
        [
            *("/api/v1/feed", "/api/v1/removals", "/api/v1/runs", "/api/v1/statistics"),
            run,
            *(f"{run}/{each}" for each in ("events", "output", "snapshots", "verify")),
            f"{run}/snapshots/latest",
            f"{run}/snapshots/{{snapshot_id}}",
        ]
    )
    for path in paths.values():
        operation = path["get"]
        assert operation["summary"]
        assert operation["description"]
        for status in ("400", "404", "503", "default"):
            assert "application/problem+json" in operation["responses"][status]["content"]
        assert "422" not in operation["responses"]
    limit = next(
        each for each in paths["/api/v1/runs"]["get"]["parameters"] if each["name"] == "limit"
    )
    assert (limit["schema"]["minimum"], limit["schema"]["maximum"]) == (1, 100)
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert named <= set(document["components"]["schemas"])
    assert "text/event-stream" in paths[f"{run}/events"]["get"]["responses"]["200"]["content"]


async def test_the_docs_page_loads_nothing_from_elsewhere(http) -> None:
    page = (await http.get("/docs")).text

    assert "GET /api/v1/runs/{run_id}/events" in page
    assert "RunSummary" in page
    assert not re.search(r"(src|href)=\"(?!#|openapi\.json)", page)
    assert "<script" not in page


async def test_pages_of_configured_origins_may_read(own_server) -> None:
    origin = "https://console.example"
    preflight = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    async with own_server(http_cors_origins=(origin,)) as own:
        allowed = await own.http.get("/api/v1/runs", headers={"Origin": origin})
        other = await own.http.get("/api/v1/runs", headers={"Origin": "https://evil.example"})
        asked = await own.http.options("/api/v1/runs", headers=preflight)
        refused = await own.http.get("/api/v1/runs/nobody", headers={"Origin": origin})

    assert allowed.headers["access-control-allow-origin"] == origin
    assert "access-control-allow-origin" not in other.headers
    assert asked.status_code == 200
    assert refused.headers["access-control-allow-origin"] == origin


async def test_pages_of_other_origins_may_not_read(http) -> None:
    answer = await http.get("/api/v1/runs", headers={"Origin": "https://console.example"})

    assert "access-control-allow-origin" not in answer.headers


async def test_the_http_side_can_be_turned_off(settings, database_url, db_schema) -> None:
    server = App(
        settings.model_copy(update={"http": False}), make_served_store(database_url, db_schema)
    )

    await server.start()

    assert server.http_address is None
    await server.drain()


async def test_an_http_port_in_use_is_an_error(
    settings, running_server, database_url, db_schema
) -> None:
    port = int(running_server[1].rpartition(":")[2])
    taken = settings.model_copy(update={"http_port": port})
    server = App(taken, make_served_store(database_url, db_schema))

    with pytest.raises(CannotBind, match=str(port)):
        await server.start()

    await server.drain()


@pytest.mark.parametrize("http", [True, False])
async def test_operators_have_a_listener_of_their_own(
    settings, database_url, db_schema, http
) -> None:
    configured = settings.model_copy(update={"http": http, "ops_port": 0})
    server = App(configured, make_served_store(database_url, db_schema))
    await server.start()
    base = f"http://{server.ops_address}"
    async with httpx.AsyncClient(base_url=base) as operator:
        answers = {
            path: (await operator.get(path)).status_code
            for path in ("/livez", "/readyz", "/metrics", "/api/v1/runs", "/docs", "/openapi.json")
        }
        server._lifecycle.draining.set()
        draining = await operator.get("/readyz")
        alive = await operator.get("/livez")
    await server.drain()

    assert answers == {
        "/livez": 200,
        "/readyz": 200,
        "/metrics": 200,
        "/api/v1/runs": 404,
        "/docs": 404,
        "/openapi.json": 404,
    }
    assert (draining.status_code, draining.json()["reason"]) == (503, "SERVER_DRAINING")
    assert alive.status_code == 200


async def test_an_ops_port_in_use_is_an_error(
    settings, running_server, database_url, db_schema
) -> None:
    port = int(running_server[1].rpartition(":")[2])
    taken = settings.model_copy(update={"ops_port": port})
    server = App(taken, make_served_store(database_url, db_schema))

    with pytest.raises(CannotBind, match=str(port)):
        await server.start()

    await server.drain()
