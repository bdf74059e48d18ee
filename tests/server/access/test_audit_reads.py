"""Calls that read are logged with their caller where that is asked for, and no others are."""

from __future__ import annotations

from typing import Any

import grpc
import httpx
import pytest
import structlog
from conftest import make_served_store
from runstore.v1 import admin_service_pb2 as admin
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.admin_service_pb2_grpc import AdminServiceStub
from runstore.v1.events_pb2 import Event
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore_server.app import App
from runstore_server.edge.access import ACCESS, READS
from runstore_server.settings import Settings
from server.access.guarded import MakeToken, sent_with
from structlog.typing import EventDict


@pytest.mark.parametrize("audit_reads", [True, False])
async def test_reads_are_logged(
    settings: Settings,
    database_url: str,
    db_schema: str,
    make_token: MakeToken,
    project: str,
    *,
    audit_reads: bool,
) -> None:
    configured = settings.model_copy(update={"auth": "required", "audit_reads": audit_reads})
    token = await make_token(f"admin@{project}")
    shown, run = sent_with(token.text), {"project": project, "run_id": "run"}
    server = App(configured, make_served_store(database_url, db_schema))
    address = await server.start()
    try:
        with structlog.testing.capture_logs(
            processors=[structlog.contextvars.merge_contextvars]
        ) as logged:
            async with grpc.aio.insecure_channel(address) as channel:
                runs: Any = RunServiceStub(channel)
                await runs.SaveRun(rpc.SaveRunRequest(**run), metadata=shown)
                event = Event(type="t")
                await runs.AppendEvent(rpc.AppendEventRequest(**run, event=event), metadata=shown)
                await runs.GetRun(rpc.GetRunRequest(**run), metadata=shown)
                listing = admin.ListTokensRequest(project=project)
                await AdminServiceStub(channel).ListTokens(listing, metadata=shown)
            async with httpx.AsyncClient(base_url=f"http://{server.http_address}") as http:
                answer = await http.get(
                    "/api/v1/runs/run", headers=dict(shown), params={"project": project}
                )
                answer.raise_for_status()
    finally:
        await server.drain()

    reads = [each for each in logged if each["event"] == "read"]
    assert [_what(each) for each in reads] == (
        ["GetRun run", "ListTokens ", "/api/v1/runs/run "] if audit_reads else []
    )
    for each in reads:
        assert each["project"] == project
        assert (each["principal_kind"], each["principal"]) == ("token", token.token_id)
        assert each["peer"]
        assert each["request_id"]


def _what(logged: EventDict) -> str:
    return f"{logged.get('rpc') or logged['path']} {logged.get('run_id', '')}"


def test_every_method_changes_something_or_is_a_read_or_is_about_the_caller() -> None:
    telling = (
        *("Get", "List", "Read", "Stream", "Follow"),
        *("Search", "Replay", "Verify", "Download", "Export", "Preview"),
    )
    names = {method: method.rpartition("/")[2] for method in ACCESS}
    of_the_caller = {"WhoAmI", "ListProjects"}

    assert {
        method
        for method, name in names.items()
        if name.startswith(telling) and name not in of_the_caller
    } == READS
