"""Streams, writes and HTTP through real proxies, configured as docs/proxies.md shows and not."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import runstore
import yaml
from e2e.servers import ServerProcess
from field.proxies import HaProxy, Nginx, shown

EVENTS = 20
SIZE = 50_000
NGINX_LIMIT = 1024 * 1024
# A server takes a minute to start where the machine is very busy.
PATIENT = 300.0
Proxy = Nginx | HaProxy


@pytest.fixture(scope="module")
def server(
    database_url: str, db_schema: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server process whose drain leaves streams no time."""
    process = ServerProcess(
        tmp_path_factory.mktemp("server") / "server.log",
        {
            "RUNSTORE_DATABASE_URL": database_url,
            "RUNSTORE_DB_SCHEMA": db_schema,
            "RUNSTORE_DRAIN_SECONDS": "0",
        },
    )
    process.start()
    process.wait_until_serving()
    yield process
    process.stop()


PROXIES = pytest.mark.parametrize("program", [Nginx, HaProxy], ids=["nginx", "haproxy"])


@pytest.fixture
def proxy(program: type[Proxy], server: ServerProcess, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy before the server, configured as the page shows."""
    proxy = program(tmp_path / "proxy")
    proxy.start(server)
    yield proxy
    proxy.stop()


@pytest.fixture
def unconfigured(server: ServerProcess, tmp_path: Path) -> Iterator[Nginx]:
    """nginx before the server, with its own limits."""
    proxy = Nginx(tmp_path / "proxy")
    proxy.start(server, is_configured=False)
    yield proxy
    proxy.stop()


@pytest_asyncio.fixture
async def proxied(proxy: Proxy, project: str) -> AsyncIterator[runstore.AsyncClient]:
    """A client that reaches the server through the proxy."""
    async with runstore.connect(proxy.target, project=project, timeout=PATIENT) as client:
        yield client


def restart(server: ServerProcess, *, is_killed: bool) -> None:
    if is_killed:
        server.kill()
    else:
        server.stop()
    server.start()


@PROXIES
@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
async def test_a_followed_stream_and_appends_survive_restarts_behind_a_proxy(
    proxied: runstore.AsyncClient, server: ServerProcess, is_killed: bool
) -> None:
    run = await proxied.save_run()

    async def follow() -> list[int]:
        return [event.seq async for event in run.events(follow=True, patience_seconds=PATIENT)]

    following = asyncio.create_task(follow())
    async with proxied.appender() as appender:
        restarting = asyncio.create_task(asyncio.to_thread(restart, server, is_killed=is_killed))
        for number in range(EVENTS):
            await run.append("one", {"n": number})
            await appender.append(run, "pipelined", {"n": number})
        await restarting
    await run.complete()
    seen = await asyncio.wait_for(following, PATIENT)

    assert seen == list(range(1, 2 * EVENTS + 2))


@PROXIES
async def test_requests_of_any_size_pass_a_configured_proxy(
    proxied: runstore.AsyncClient, server: ServerProcess
) -> None:
    run = await proxied.save_run()
    large = "x" * 3 * NGINX_LIMIT

    appended = await run.append("large", large)
    uploaded = await proxied.artifacts.upload(
        run.run_id, "report", large.encode(), type="report", content_type="text/plain"
    )

    assert appended.seq == 1
    assert uploaded.artifact.size == len(large)


@PROXIES
def test_ids_with_a_slash_pass_a_configured_proxy(
    proxy: Proxy, server: ServerProcess, project: str
) -> None:
    with runstore.Client(server.target, project=project) as client:
        client.save_run(run_id="a/b")

    assert run_id_at(proxy, "/api/v1/runs/a%2Fb", project) == "a/b"


@pytest.mark.parametrize("program", [Nginx], ids=["nginx"])
def test_ids_with_a_slash_pass_below_a_prefix(
    proxy: Proxy, server: ServerProcess, project: str
) -> None:
    with runstore.Client(server.target, project=project) as client:
        client.save_run(run_id="a/b")

    assert run_id_at(proxy, "/runstore/api/v1/runs/a%2Fb", project) == "a/b"


def test_nginx_breaks_ids_with_a_slash_where_a_uri_is_passed(
    unconfigured: Nginx, server: ServerProcess, project: str
) -> None:
    with runstore.Client(server.target, project=project) as client:
        client.save_run(run_id="a/b")

    with pytest.raises(urllib.error.HTTPError, match="404"):
        run_id_at(unconfigured, "/runstore/api/v1/runs/a%2Fb", project)


async def test_many_appends_pass_nginx_with_its_limit_of_the_body(
    unconfigured: Nginx, project: str
) -> None:
    async with runstore.connect(unconfigured.target, project=project, timeout=PATIENT) as client:
        run = await client.save_run()
        async with client.appender() as appender:
            appended = [await appender.append(run, "tick", "x" * SIZE) for _ in range(100)]

    assert [each.result().seq for each in appended] == list(range(1, 101))
    assert " 413 " not in (unconfigured.folder / "access.log").read_text()
    assert "too large body" not in (unconfigured.folder / "error.log").read_text()


async def test_a_request_beyond_the_limit_of_the_body_fails_at_once_and_names_it(
    unconfigured: Nginx, project: str
) -> None:
    large = "x" * 2 * NGINX_LIMIT
    async with runstore.connect(unconfigured.target, project=project, timeout=600) as client:
        run = await client.save_run()

        with pytest.raises(runstore.MessageTooLarge, match="client_max_body_size"):
            await run.append("large", large)
        with pytest.raises(runstore.MessageTooLarge, match="client_max_body_size"):
            await client.artifacts.upload(run.run_id, "large", large.encode())


def run_id_at(proxy: Proxy, path: str, project: str) -> str:
    """The id of the run at a path of the HTTP API, through the proxy."""
    request = urllib.request.Request(
        proxy.http_target + path, headers={"X-Runstore-Project": project}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)["run"]["run_id"]


def test_what_no_test_runs_is_yaml() -> None:
    envoy, ingress = (yaml.safe_load(text) for text in shown("yaml"))

    assert {"listeners", "clusters"} == envoy["static_resources"].keys()
    assert ingress["kind"] == "Ingress"
