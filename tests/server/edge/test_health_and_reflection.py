"""Standard services beside ours."""

import asyncio

import grpc
import pytest
from conftest import make_served_store
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from runstore_server.app import App
from runstore_storage.contract.errors import StorageUnavailable

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize(
    "service",
    ["", "runstore.v1.RunService", "runstore.v1.ConfigService", "grpc.health.v1.Health"],
)
async def test_the_server_and_each_service_report_their_health(server_address, service) -> None:
    async with grpc.aio.insecure_channel(server_address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        response = await stub.Check(health_pb2.HealthCheckRequest(service=service))

    assert response.status == SERVING


async def test_all_health_is_listed(server_address) -> None:
    async with grpc.aio.insecure_channel(server_address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        listed = await stub.List(health_pb2.HealthListRequest())

    assert {"", "runstore.v1.RunService", "grpc.health.v1.Health"} <= set(listed.statuses)
    assert {each.status for each in listed.statuses.values()} == {SERVING}


async def test_health_follows_the_database(settings, database_url, db_schema) -> None:
    store = make_served_store(database_url, db_schema)
    check, is_away = store.check, asyncio.Event()

    async def check_or_fail() -> None:
        if is_away.is_set():
            raise StorageUnavailable
        await check()

    store.check = check_or_fail
    server = App(settings, store)
    async with grpc.aio.insecure_channel(await server.start()) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        seen = [(await watch.read()).status]
        is_away.set()
        seen.append((await watch.read()).status)
        alive = await stub.Check(health_pb2.HealthCheckRequest(service="grpc.health.v1.Health"))
        is_away.clear()
        seen.append((await watch.read()).status)
        watch.cancel()
    await server.drain()

    assert seen == [SERVING, NOT_SERVING, SERVING]
    assert alive.status == SERVING, "a process without a database is alive"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_the_services_are_discovered(server_address, version) -> None:
    method = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    async with grpc.aio.insecure_channel(server_address) as channel:
        call = channel.stream_stream(
            method,
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed = await call.read()
        await call.write(
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="runstore.v1.RunService")
        )
        described = await call.read()
        await call.done_writing()

    names = {service.name for service in listed.list_services_response.service}
    assert {"runstore.v1.RunService", "grpc.health.v1.Health"} <= names
    assert described.file_descriptor_response.file_descriptor_proto


@pytest.mark.parametrize(
    "symbol",
    [
        "runstore.v1.RunService.GetRun",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1.ServerReflection.ServerReflectionInfo",
        "grpc.reflection.v1.ServerReflectionRequest",
    ],
)
async def test_what_is_listed_is_described(server_address, symbol) -> None:
    answer = await described(server_address, symbol)

    assert answer.file_descriptor_response.file_descriptor_proto


@pytest.mark.parametrize(
    ("symbol", "comment"),
    [
        ("runstore.v1.RunService", "AppendEventStream pipelines single appends"),
        ("runstore.v1.FeedService.FollowFeed", "Bounds: 0..200 characters."),
        ("runstore.v1.ErrorReason", "ABORTED. `expected_seq` is not the run's last seq"),
    ],
)
async def test_what_is_described_has_its_comments(server_address, symbol, comment) -> None:
    answer = await described(server_address, symbol)

    first, *_ = answer.file_descriptor_response.file_descriptor_proto
    file = FileDescriptorProto.FromString(first)
    comments = [place.leading_comments for place in file.source_code_info.location]
    assert comment in "\n".join(comments)


async def test_an_unknown_symbol_is_not_found(server_address) -> None:
    answer = await described(server_address, "runstore.v1.RunService.Unknown")

    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def described(address: str, symbol: str) -> reflection_pb2.ServerReflectionResponse:
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )()
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol))
        answer = await call.read()
        await call.done_writing()
    return answer
