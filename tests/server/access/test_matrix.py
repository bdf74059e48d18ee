"""Every RPC and every route, with every kind of credential. The table here is not the server's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from runstore.errors import from_rpc, from_status
from runstore_server.edge.access import ACCESS
from runstore_server.services.serving import FILES
from runstore_storage.postgres import PostgresStore
from server.access.guarded import Guarded, MakeToken, revoke, sent_with

RPCS: Mapping[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
}
RECORD = (
    "SaveRun AppendEvent AppendEvents AppendMany AppendEventStream PutSnapshot PutTaskWrites"
    " CompleteRun UploadArtifact LinkArtifact"
)
READ = (
    "GetRun ListRuns ListEvents StreamEvents GetSnapshot ListSnapshots GetOutput ReplayRun"
    " VerifyRun SearchEvents GetStatistics ReadFeed FollowFeed GetConsumer ListConsumers"
    " GetVersion ListVersions ListConfigs ListLabelMoves GetArtifact ListArtifacts"
    " DownloadArtifact ExportRun ListRemovals"
)
WRITE = "ResumeRun ForkRun RegisterVersion CommitPosition"
ADMINISTER = (
    "SetLabel RemoveLabel DeleteSnapshots ResetConsumer PlaceHold ReleaseHold ListHolds DeleteRun"
    " PutPolicy ListPolicies DeletePolicy PreviewRetention"
    " EraseEvents EraseSubject GetErasure"
    " ArchiveRun RestoreRun"
)
OWN = "CreateToken ListTokens RevokeToken ListAdminRecords VerifyAdminRecords"
OPERATE = "SetLimits GetLimits"
ANYBODY = "WhoAmI ListProjects"
MAY: Mapping[str, set[str]] = {
    "recorder": set(f"{RECORD} {ANYBODY}".split()),
    "reader": set(f"{READ} {ANYBODY}".split()),
    "writer": set(f"{RECORD} {READ} {WRITE} {ANYBODY}".split()),
    "admin": set(f"{RECORD} {READ} {WRITE} {ADMINISTER} {OWN} {ANYBODY}".split()),
    "operator": set(f"{OWN} {OPERATE} {ANYBODY}".split()),
}
REFUSED = {"UNAUTHENTICATED", "CREDENTIAL_EXPIRED", "PERMISSION_DENIED"}


def request_of(path: str, project: str) -> Message:
    """A request that names a project, and is refused for what it lacks once it is let in."""
    rpc = RPCS[path]
    request: Any = GetMessageClass(rpc.input_type)()
    named = {"UploadArtifact": "header", "AppendEventStream": "append"}.get(rpc.name)
    target = getattr(request, named) if named else request
    if named:
        target.SetInParent()
    if "project" in target.DESCRIPTOR.fields_by_name:
        target.project = project
    if "heartbeat_interval" in target.DESCRIPTOR.fields_by_name:
        target.heartbeat_interval.nanos = 100_000_000
    return request


async def reason(address: str, path: str, project: str, token: str | None) -> str:
    """The reason of a call's refusal, of whichever kind; "OK" if there is none."""
    rpc, sizes = RPCS[path], ("unary", "stream")
    metadata = sent_with(token) if token is not None else []
    sent = request_of(path, project).SerializeToString()
    async with grpc.aio.insecure_channel(address) as channel:
        shape = f"{sizes[rpc.client_streaming]}_{sizes[rpc.server_streaming]}"
        open_call = getattr(channel, shape)(
            path, response_deserializer=GetMessageClass(rpc.output_type).FromString
        )
        call = open_call(
            _once(sent) if rpc.client_streaming else sent, timeout=60, metadata=metadata
        )
        try:
            answer = await (call.read() if rpc.server_streaming else call)
        except grpc.RpcError as error:
            return from_rpc(error).reason
    if answer is not grpc.aio.EOF and answer.DESCRIPTOR.name == "AppendEventStreamResponse":
        return from_status(answer.error).reason
    return "OK"


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def reasons(guarded: Guarded, project: str, token: str | None) -> dict[str, str]:
    """The reason of each RPC."""
    found = await asyncio.gather(*(reason(guarded.grpc, path, project, token) for path in RPCS))
    return {RPCS[path].name: each for path, each in zip(RPCS, found, strict=True)}


def test_every_method_has_its_line_and_every_line_its_method() -> None:
    assert ACCESS.keys() == RPCS.keys()


def test_the_roles_here_are_of_every_method() -> None:
    assert set().union(*MAY.values()) == {rpc.name for rpc in RPCS.values()}


@pytest.mark.parametrize("role", MAY)
async def test_a_role_may_what_it_may_in_its_project_alone(
    guarded: Guarded, make_token: MakeToken, role: str, project: str
) -> None:
    pattern = "*" if role == "operator" else project
    token = (await make_token(f"{role}@{pattern}")).text

    here = await reasons(guarded, project, token)
    elsewhere = await reasons(guarded, f"{project}-other", token)
    unnamed = await reasons(guarded, "", token)

    assert {name for name, each in here.items() if each not in REFUSED} == MAY[role]
    anywhere = MAY[role] if role == "operator" else set(ANYBODY.split())
    assert {name for name, each in elsewhere.items() if each != "PERMISSION_DENIED"} == anywhere
    assert {name for name, each in unnamed.items() if each != "PERMISSION_DENIED"} == anywhere


@pytest.mark.parametrize(
    ("pattern", "of", "is_in"),
    [
        ("acme", "acme", True),
        ("acme", "acme/x", False),
        ("acme", "acmex", False),
        ("acme/*", "acme/x", True),
        ("acme/*", "acme/x/y", True),
        ("acme/*", "acme", False),
        ("acme/*", "acmex", False),
        ("*", "acme", True),
        ("default", "", True),
    ],
)
async def test_a_pattern_has_what_it_says(
    guarded: Guarded, make_token: MakeToken, pattern: str, of: str, is_in: bool
) -> None:
    token = (await make_token(f"reader@{pattern}")).text

    found = await reason(guarded.grpc, "/runstore.v1.RunService/ListRuns", of, token)

    assert found == ("OK" if is_in else "PERMISSION_DENIED")


async def test_nobody_is_let_in_without_a_credential_that_holds(
    guarded: Guarded, make_token: MakeToken, store: PostgresStore, project: str
) -> None:
    expired = await make_token(f"admin@{project}", seconds=0.001)
    revoked = await make_token(f"admin@{project}")
    await revoke(store, revoked)
    good = await make_token(f"admin@{project}")
    changed = good.text[:-8] + ("A" if good.text[-8] != "A" else "B") + good.text[-7:]
    other = await make_token(f"admin@{project}")
    mixed = good.text[:16] + other.text[16:]

    tried = {
        None: "UNAUTHENTICATED",
        "": "UNAUTHENTICATED",
        "eyJ.eyJ.x": "UNAUTHENTICATED",
        changed: "UNAUTHENTICATED",
        mixed: "UNAUTHENTICATED",
        revoked.text: "UNAUTHENTICATED",
        expired.text: "CREDENTIAL_EXPIRED",
    }

    for token, why in tried.items():
        assert set((await reasons(guarded, project, token)).values()) == {why}


async def test_health_needs_no_credential_and_reflection_any(
    guarded: Guarded, make_token: MakeToken
) -> None:
    token = (await make_token("recorder@somewhere")).text
    async with grpc.aio.insecure_channel(guarded.grpc) as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.RpcError) as refused:
            await ask(iter([asked])).read()
        answer = await ask(iter([asked]), metadata=sent_with(token)).read()

    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert from_rpc(refused.value).reason == "UNAUTHENTICATED"
    assert any(
        each.name == "runstore.v1.RunService" for each in answer.list_services_response.service
    )


async def test_routes_are_for_readers_of_the_project(
    guarded: Guarded, make_token: MakeToken, project: str
) -> None:
    reader = (await make_token(f"reader@{project}")).text
    recorder = (await make_token(f"recorder@{project}")).text
    operator = (await make_token("operator@*")).text
    expired = (await make_token(f"reader@{project}", seconds=0.001)).text
    async with httpx.AsyncClient(base_url=f"http://{guarded.http}") as http:
        document = (await http.get("/openapi.json", headers=bearer(reader))).json()
        paths = [path.replace("{run_id}", "x") for path in document["paths"]]
        assert len(paths) > 5
        for path in paths:
            here = {"params": {"project": project}}

            assert (await http.get(path, **here)).status_code == 401
            assert (await http.get(path, headers=bearer("x"), **here)).status_code == 401
            assert (await http.get(path, headers=bearer(expired), **here)).status_code == 401
            assert (await http.get(path, headers=bearer(recorder), **here)).status_code == 403
            assert (await http.get(path, headers=bearer(operator), **here)).status_code == 403
            elsewhere = {"params": {"project": project + "-other"}}
            assert (await http.get(path, headers=bearer(reader), **elsewhere)).status_code == 403
            assert (await http.get(path, headers=bearer(reader))).status_code == 403
            let_in = await http.get(path, headers=bearer(reader), **here)
            assert let_in.status_code in {200, 404}, (path, let_in.text)
        asked = await http.get("/api/v1/runs")
        assert asked.headers["WWW-Authenticate"] == "Bearer"
        assert asked.json()["reason"] == "UNAUTHENTICATED"
        assert (await http.get("/livez")).status_code == 200
        assert (await http.get("/readyz")).status_code == 200
        assert (await http.get("/metrics")).status_code == 401
        assert (await http.get("/metrics", headers=bearer(reader))).status_code == 403
        assert (await http.get("/metrics", headers=bearer(operator))).status_code == 200
        for page in ("/docs", "/openapi.json"):
            assert (await http.get(page)).status_code == 401
            assert (await http.get(page, headers=bearer(recorder))).status_code == 200


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
