"""How calls are spread over servers and repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
import runstore
from clients.script import status
from google.protobuf.any_pb2 import Any as Packed
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1 import runs_pb2
from runstore.v1.run_service_pb2_grpc import RunServiceServicer, add_RunServiceServicer_to_server


class Counted(RunServiceServicer):
    """Counts GetRun, and refuses it while `wait_seconds` is set."""

    def __init__(self) -> None:
        self.calls = 0
        self.wait_seconds = 0
        self.address = ""

    async def GetRun(self, request: rpc.GetRunRequest, context) -> rpc.GetRunResponse:  # noqa: N802 - an RPC
        self.calls += 1
        if self.wait_seconds:
            refused = status(grpc.StatusCode.UNAVAILABLE.value[0], "STORAGE_UNAVAILABLE")
            wait, retry = Packed(), error_details_pb2.RetryInfo()
            retry.retry_delay.seconds = self.wait_seconds
            wait.Pack(retry)
            refused.details.append(wait)
            await context.abort_with_status(rpc_status.to_status(refused))
        return rpc.GetRunResponse(run=runs_pb2.Run(status=runs_pb2.RUN_STATUS_RUNNING))


@pytest_asyncio.fixture
async def two() -> AsyncIterator[tuple[Counted, Counted]]:
    pair, servers = (Counted(), Counted()), []
    for counted in pair:
        server = grpc.aio.server()
        add_RunServiceServicer_to_server(counted, server)
        counted.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        servers.append(server)
    yield pair
    for server in servers:
        await server.stop(0)


def target(*servers: Counted) -> str:
    return f"ipv4:{','.join(counted.address for counted in servers)}"


async def test_calls_go_to_every_address_in_turn(two: tuple[Counted, Counted]) -> None:
    async with runstore.connect(target(*two)) as client:
        for _ in range(40):
            await client.run("run").get()

    assert min(counted.calls for counted in two) > 10


async def test_synchronous_calls_go_to_every_address_in_turn(two: tuple[Counted, Counted]) -> None:
    def call() -> None:
        with runstore.Client(target(*two)) as client:
            for _ in range(40):
                client.run("run").get()

    await asyncio.to_thread(call)

    assert min(counted.calls for counted in two) > 10


async def test_an_address_without_a_server_fails_no_call(two: tuple[Counted, Counted]) -> None:
    dead = Counted()
    dead.address = "127.0.0.1:1"
    async with runstore.connect(target(dead, two[0])) as client:
        for _ in range(40):
            await client.run("run").get()

    assert two[0].calls == 40


async def test_only_the_client_itself_repeats_a_refused_call(
    two: tuple[Counted, Counted],
) -> None:
    """gRPC's own retries would not wait as long as the server asks."""
    refusing = two[0]
    refusing.wait_seconds = 3600

    async with runstore.connect(refusing.address) as client:
        with pytest.raises(runstore.StorageUnavailable):
            await client.run("run").get()

    assert refusing.calls == 1


def test_no_retry_policy_is_configured_or_taken_from_dns() -> None:
    options = dict(runstore.channels.OPTIONS)

    assert "retryPolicy" not in str(options["grpc.service_config"])
    assert options["grpc.service_config_disable_resolution"] == 1
