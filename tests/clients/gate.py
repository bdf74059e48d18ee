"""A server that lets in whom it knows by a token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from typing import Any

import grpc
from clients.script import batch, end_of_run, status
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthServicer, add_HealthServicer_to_server
from runstore.failures import DETAILS_KEY
from runstore.v1 import artifact_service_pb2 as artifacts
from runstore.v1 import artifacts_pb2, feed_pb2
from runstore.v1 import feed_service_pb2 as feed
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.artifact_service_pb2_grpc import (
    ArtifactServiceServicer,
    add_ArtifactServiceServicer_to_server,
)
from runstore.v1.feed_service_pb2_grpc import FeedServiceServicer, add_FeedServiceServicer_to_server
from runstore.v1.run_service_pb2_grpc import RunServiceServicer, add_RunServiceServicer_to_server

UNKNOWN = grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"
EXPIRED = grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_EXPIRED"
WITHDRAWN = grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"
CONTENT = b"both halves"


class Gate(RunServiceServicer, FeedServiceServicer, ArtifactServiceServicer, HealthServicer):
    """Knows the tokens in `known`, and keeps what each call has shown, with the RPC's name.

    Everybody may ask for its health.
    Streams end after their first item, as `ending`, for the tokens in `ended`; others go on to the
    second. `refusing` is called before a call is refused or a stream is ended. Streams of events
    wait for `may_go_on` after their first item.
    """

    def __init__(self, *known: str) -> None:
        self.known = set(known)
        self.ended: set[str] = set()
        self.ending = EXPIRED
        self.refused_as = UNKNOWN
        self.refusing: Callable[[], object] = lambda: None
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.shown: list[tuple[str, str]] = []
        self.peers: list[str] = []
        self.address = ""
        self.stop: Callable[[], Awaitable[None]]

    @property
    def tokens(self) -> list[str]:
        """What each call has shown."""
        return [shown for _, shown in self.shown]

    async def _let_in(self, name: str, context: Any) -> str:
        """The token; end the call if it is not known."""
        shown = self._note(name, context)
        if shown not in self.known:
            await self._refuse(self.refused_as, context)
        return shown

    def _note(self, name: str, context: Any) -> str:
        metadata = dict(context.invocation_metadata())
        shown = str(metadata.get("authorization", "")).removeprefix("Bearer ")
        self.shown.append((name, shown))
        self.peers.append(context.peer())
        return shown

    async def _may_go_on(self, token: str, context: Any) -> None:
        if token in self.ended:
            await self._refuse(self.ending, context)

    async def _refuse(self, why: tuple[grpc.StatusCode, str], context: Any) -> None:
        self.refusing()
        code, reason = why
        details = status(code.value[0], reason).SerializeToString() if reason else b""
        trailing = ((DETAILS_KEY, details),) if details else ()
        await context.abort(code, "refused", trailing_metadata=trailing)

    async def Check(self, _request: Any, context: Any) -> Any:  # noqa: N802 - an RPC
        self._note("Check", context)
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)

    async def ListRuns(self, _request: Any, context: Any) -> Any:  # noqa: N802 - an RPC
        await self._let_in("ListRuns", context)
        return rpc.ListRunsResponse()

    async def ReplayRun(self, _request: Any, context: Any) -> Any:  # noqa: N802 - an RPC
        await self._let_in("ReplayRun", context)
        await self._refuse((grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND"), context)

    async def AppendEvent(self, request: Any, context: Any) -> Any:  # noqa: N802 - an RPC
        await self._let_in("AppendEvent", context)
        return rpc.AppendEventResponse(seq=1, event_id=request.event.event_id)

    async def AppendMany(self, request: Any, context: Any) -> Any:  # noqa: N802 - an RPC
        await self._let_in("AppendMany", context)
        appended = rpc.AppendEventResponse(seq=1)
        return rpc.AppendManyResponse(
            results=[rpc.AppendResult(appended=appended) for _ in request.appends]
        )

    async def StreamEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - an RPC
        token = await self._let_in("StreamEvents", context)
        for seq in range(request.from_seq, 3):
            yield batch(seq)
            await self.may_go_on.wait()
            await self._may_go_on(token, context)
        yield end_of_run(2)

    async def AppendEventStream(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - an RPC
        token = await self._let_in("AppendEventStream", context)
        async for request in requests:
            yield rpc.AppendEventStreamResponse(
                correlation_id=request.correlation_id, appended=rpc.AppendEventResponse(seq=1)
            )
            await self._may_go_on(token, context)

    async def FollowFeed(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - an RPC
        token = await self._let_in("FollowFeed", context)
        for position in range(max(request.from_position, 1), 3):
            entry = feed_pb2.FeedEntry(position=position, run_id="run")
            entry.event.type = "tick"
            yield feed.FollowFeedResponse(entries=feed.FeedBatch(entries=[entry]))
            await self._may_go_on(token, context)

    async def UploadArtifact(self, requests: Any, context: Any) -> Any:  # noqa: N802 - an RPC
        token = await self._let_in("UploadArtifact", context)
        await anext(requests)
        await self._may_go_on(token, context)
        content = b"".join([request.chunk async for request in requests])
        return artifacts.UploadArtifactResponse(artifact=_artifact(content))

    async def DownloadArtifact(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - an RPC
        token = await self._let_in("DownloadArtifact", context)
        yield artifacts.DownloadArtifactResponse(artifact=_artifact(CONTENT))
        half = request.offset or len(CONTENT) // 2
        if not request.offset:
            yield artifacts.DownloadArtifactResponse(chunk=CONTENT[:half])
            await self._may_go_on(token, context)
        yield artifacts.DownloadArtifactResponse(chunk=CONTENT[half:])


def _artifact(content: bytes) -> artifacts_pb2.Artifact:
    return artifacts_pb2.Artifact(
        artifact_id="a", size=len(content), sha256=sha256(content).digest()
    )


@asynccontextmanager
async def serving(gate: Gate, credentials: Any = None, port: int = 0) -> AsyncIterator[Gate]:
    """The gate, served at a port of its own in `gate.address`."""
    server = grpc.aio.server()
    add_RunServiceServicer_to_server(gate, server)
    add_FeedServiceServicer_to_server(gate, server)
    add_ArtifactServiceServicer_to_server(gate, server)
    add_HealthServicer_to_server(gate, server)
    host = f"127.0.0.1:{port}"
    bound = (
        server.add_secure_port(host, credentials) if credentials else server.add_insecure_port(host)
    )
    gate.address = f"127.0.0.1:{bound}"
    await server.start()
    gate.stop = partial(server.stop, 0)
    try:
        yield gate
    finally:
        await server.stop(0)
