"""Open streams end when their caller may have them no longer, and say which of the two it was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from runstore.errors import from_rpc, from_status
from runstore.v1 import artifact_service_pb2 as artifacts
from runstore.v1 import feed_service_pb2 as feed
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from runstore.v1.events_pb2 import Event
from runstore.v1.feed_service_pb2_grpc import FeedServiceStub
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore_storage.postgres import PostgresStore
from server.access.guarded import Guarded, MakeToken, revoke, sent_with

STREAMS = 100
WITHIN_SECONDS = 5


async def save(channel: grpc.aio.Channel, project: str, token: str) -> None:
    await RunServiceStub(channel).SaveRun(
        rpc.SaveRunRequest(project=project, run_id="run"), metadata=sent_with(token)
    )


async def end_of(call: Any) -> tuple[str, float]:
    """Why a stream ended, and when."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.RpcError as error:
        return from_rpc(error).reason, time.monotonic()
    return "OK", time.monotonic()


async def test_a_revoked_token_ends_its_hundred_streams_and_no_other(
    channel: grpc.aio.Channel, make_token: MakeToken, store: PostgresStore, project: str
) -> None:
    token, other = await make_token(f"writer@{project}"), await make_token(f"writer@{project}")
    await save(channel, project, token.text)
    follow = rpc.StreamEventsRequest(project=project, run_id="run", follow=True)
    runs, feeds = RunServiceStub(channel), FeedServiceStub(channel)
    calls: list[Any] = [
        runs.StreamEvents(follow, metadata=sent_with(token.text))
        if number % 2
        else feeds.FollowFeed(
            feed.FollowFeedRequest(project=project), metadata=sent_with(token.text)
        )
        for number in range(STREAMS)
    ]
    kept = runs.StreamEvents(follow, metadata=sent_with(other.text))
    for call in (*calls, kept):
        await call.read()

    revoked_at = time.monotonic()
    await revoke(store, token)
    ends = await asyncio.gather(*map(end_of, calls))

    assert {reason for reason, _ in ends} == {"PERMISSION_DENIED"}
    assert max(at for _, at in ends) - revoked_at < WITHIN_SECONDS
    await runs.AppendEvent(
        rpc.AppendEventRequest(project=project, run_id="run", event=Event(type="t")),
        metadata=sent_with(other.text),
    )
    assert (await kept.read()).events.events[0].type == "t"
    kept.cancel()


async def test_an_expired_token_ends_its_stream_as_expired_and_a_new_one_continues_it(
    channel: grpc.aio.Channel, make_token: MakeToken, project: str
) -> None:
    short, long = (
        await make_token(f"writer@{project}", seconds=2),
        await make_token(f"writer@{project}"),
    )
    await save(channel, project, long.text)
    runs = RunServiceStub(channel)
    follow = rpc.StreamEventsRequest(project=project, run_id="run", follow=True)
    call = runs.StreamEvents(follow, metadata=sent_with(short.text))

    reason, _ = await end_of(call)

    assert reason == "CREDENTIAL_EXPIRED"
    again = runs.StreamEvents(follow, metadata=sent_with(long.text))
    assert (await again.read()).HasField("caught_up")
    again.cancel()


async def test_server_sent_events_end_with_the_problem(
    guarded: Guarded, make_token: MakeToken, store: PostgresStore, project: str
) -> None:
    token = await make_token(f"reader@{project}")
    headers = {"Authorization": f"Bearer {token.text}", "Accept": "text/event-stream"}
    url = f"http://{guarded.http}/api/v1/feed"

    async with (
        httpx.AsyncClient(timeout=30) as http,
        http.stream("GET", url, headers=headers, params={"project": project}) as response,
    ):
        lines = response.aiter_lines()
        assert [line async for line in _until(lines, "event: caught_up")]
        await revoke(store, token)
        rest = [line async for line in lines]

    assert any('"reason":"PERMISSION_DENIED"' in line for line in rest)


async def _until(lines: AsyncIterator[str], wanted: str) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line == wanted:
            return


async def test_each_message_of_a_pipeline_is_decided_by_itself(
    channel: grpc.aio.Channel, make_token: MakeToken, project: str
) -> None:
    mine, foreign = project, f"{project}-other"
    token = await make_token(f"recorder@{mine}")
    owner = await make_token(f"recorder@{foreign}")
    await save(channel, mine, token.text)
    await save(channel, foreign, owner.text)
    call = RunServiceStub(channel).AppendEventStream(metadata=sent_with(token.text))

    for number, named in enumerate((mine, foreign, "", mine)):
        append = rpc.AppendEventRequest(
            project=named, run_id="run", event=Event(type="t", event_id=f"e{number}")
        )
        await call.write(rpc.AppendEventStreamRequest(append=append))
    await call.done_writing()
    answers = [answer async for answer in call]

    assert [answer.appended.seq for answer in answers] == [1, 0, 0, 2]
    refused = [from_status(answer.error).reason for answer in answers if answer.HasField("error")]
    assert refused == ["PERMISSION_DENIED"] * 2


async def test_an_upload_ends_when_its_token_is_revoked(
    channel: grpc.aio.Channel, make_token: MakeToken, store: PostgresStore, project: str
) -> None:
    token, other = await make_token(f"recorder@{project}"), await make_token(f"reader@{project}")
    await save(channel, project, token.text)
    call = ArtifactServiceStub(channel).UploadArtifact(metadata=sent_with(token.text))
    header = artifacts.ArtifactHeader(project=project, run_id="run", name="a")
    await call.write(artifacts.UploadArtifactRequest(header=header))
    await call.write(artifacts.UploadArtifactRequest(chunk=b"some"))

    await revoke(store, token)
    with pytest.raises(grpc.RpcError) as ended:
        async with asyncio.timeout(30):
            await call

    assert from_rpc(ended.value).reason == "PERMISSION_DENIED"
    listed = await ArtifactServiceStub(channel).ListArtifacts(
        artifacts.ListArtifactsRequest(project=project), metadata=sent_with(other.text)
    )
    assert not listed.artifacts
