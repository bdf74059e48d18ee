"""The HTTP side of real server processes."""

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import runstore
from e2e.servers import ServerProcess
from sse_client import AS_STREAM, Message, Parser

EVENTS = "/api/v1/runs/run/events"
PATIENT = 300.0


class Follower:
    """An EventSource: connects again whenever the connection is gone, with the last id it saw."""

    def __init__(self, target: str, project: str) -> None:
        self._target = target
        self._query = {"project": project}
        self.messages: list[Message] = []
        self.connections = 0

    async def follow(self) -> None:
        while not self.messages or self.messages[-1].type != "end":
            try:
                await self._read()
            except httpx.TransportError:
                await asyncio.sleep(0.05)  # as an EventSource waits between two attempts

    async def _read(self) -> None:
        last = self.messages[-1].last_event_id if self.messages else ""
        parser, headers = Parser(last_event_id=last), {"Last-Event-ID": last} if last else {}
        async with (
            httpx.AsyncClient(base_url=self._target, timeout=30) as http,
            http.stream("GET", EVENTS, headers=AS_STREAM | headers, params=self._query) as response,
        ):
            self.connections += 1
            assert response.status_code == 200, await response.aread()
            async for data in response.aiter_raw():
                self.messages += parser.feed(data)


@pytest.mark.parametrize("stop", ["drained", "killed"])
@pytest.mark.slow
async def test_a_stream_continues_across_restarts(
    server: ServerProcess, project: str, stop
) -> None:
    async with runstore.connect(server.target, project=project, timeout=PATIENT) as client:
        run = await client.save_run(run_id="run")
        follower = Follower(server.http_target, project)
        following = asyncio.create_task(follower.follow())
        for _ in range(4):
            for _ in range(random.randint(5, 40)):
                await run.append("tick", {"n": random.random()})
            await asyncio.to_thread(server.stop if stop == "drained" else server.kill)
            server.start()
        await run.complete()

        await asyncio.wait_for(following, PATIENT)
        events = [event async for event in run.events()]

    seen = [message.value for message in follower.messages if message.type == "message"]
    assert [each["seq"] for each in seen] == [event.seq for event in events]
    assert [each["hash"] for each in seen] == [event.hash.hex() for event in events]
    assert follower.connections > 1


@pytest.mark.slow
async def test_workers_share_the_http_port_and_drain(
    environment: dict[str, str], project: str, tmp_path: Path
) -> None:
    server = ServerProcess(tmp_path / "workers.log", environment, "serve", "--workers", "2")
    server.start()
    try:
        async with asyncio.timeout(PATIENT):
            while len(_listeners(server)) < 2:
                await asyncio.to_thread(server.wait_until_serving)

        async with httpx.AsyncClient(base_url=server.http_target, timeout=30) as http:
            assert (await http.get("/readyz")).status_code == 200
        assert server.process
        assert server.process.pid not in _listeners(server), "the supervisor answers nobody"
    finally:
        code = await asyncio.to_thread(server.stop)
    assert code == 0


def _listeners(server: ServerProcess) -> set[int]:
    """Ids of the server's processes that listen on its HTTP port."""
    assert server.process
    supervisor = psutil.Process(server.process.pid)
    return {
        process.pid
        for process in (supervisor, *supervisor.children())
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == server.http_port
    }


async def test_a_server_prints_its_http_address_and_can_serve_without_http(
    environment: dict[str, str], tmp_path: Path
) -> None:
    told: dict[str, Any] = {}
    for option in ("--http", "--no-http"):
        log = tmp_path / f"{option}.log"
        server = ServerProcess(log, environment, "serve", option)
        server.start()
        await asyncio.to_thread(server.wait_until_serving)
        assert await asyncio.to_thread(server.stop) == 0
        told[option] = f"http://127.0.0.1:{server.http_port}" in log.read_text()

    assert told == {"--http": True, "--no-http": False}
