"""Uploads that end early: refused before all is sent, or dropped by the caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
import pytest_asyncio
import runstore
from clients.script import status
from runstore.failures import DETAILS_KEY
from runstore.v1.artifact_service_pb2_grpc import (
    ArtifactServiceServicer,
    add_ArtifactServiceServicer_to_server,
)

CHUNKS = [b"x" * 1000] * 20


class Refusing(ArtifactServiceServicer):
    """Refuses an upload at its first chunk."""

    async def UploadArtifact(self, requests: Any, context: Any) -> None:  # noqa: N802 - an RPC
        await anext(requests)
        await anext(requests)
        details = status(5, "RUN_NOT_FOUND").SerializeToString()
        await context.abort(
            grpc.StatusCode.NOT_FOUND, "", trailing_metadata=((DETAILS_KEY, details),)
        )


@pytest_asyncio.fixture
async def refusing() -> AsyncIterator[str]:
    server = grpc.aio.server()
    add_ArtifactServiceServicer_to_server(Refusing(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


async def slowly() -> AsyncIterator[bytes]:
    for chunk in CHUNKS:
        yield chunk
        await asyncio.sleep(0)


@pytest.mark.parametrize("data", [slowly, lambda: iter(CHUNKS)])
async def test_a_refusal_is_told_although_the_data_is_still_being_sent(
    refusing: str, data: Callable[[], Any]
) -> None:
    async with runstore.connect(refusing) as client:
        for _ in range(30):  # which of the two ends comes first is a matter of luck
            with pytest.raises(runstore.RunNotFound):
                await client.artifacts.upload("run", "name", data())


async def test_a_synchronous_client_is_told_the_same(refusing: str) -> None:
    def use() -> None:
        with runstore.Client(refusing) as client:
            for _ in range(30):
                with pytest.raises(runstore.RunNotFound):
                    client.artifacts.upload("run", "name", iter(CHUNKS))

    await asyncio.to_thread(use)


class Endless:
    """Data whose first chunk never comes."""

    def __init__(self) -> None:
        self.was_asked = asyncio.Event()

    def __aiter__(self) -> Endless:
        return self

    async def __anext__(self) -> bytes:
        self.was_asked.set()
        await asyncio.Event().wait()
        raise StopAsyncIteration


async def test_an_upload_that_is_dropped_while_it_waits_for_data_ends_quietly(
    refusing: str,
) -> None:
    data = Endless()
    async with runstore.connect(refusing) as client:
        upload = client.artifacts.upload("run", "name", data)
        task = asyncio.ensure_future(upload)
        await data.was_asked.wait()

        upload.close()  # as happens to a coroutine whose loop has gone

        task.cancel()
        with pytest.raises(RuntimeError, match="already awaited"):
            await task
