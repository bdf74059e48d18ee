"""Deleting runs over gRPC, and waiting until they are gone."""

from __future__ import annotations

import asyncio
from typing import Any

from google.protobuf.duration_pb2 import Duration
from runstore.v1 import admin_pb2
from runstore.v1 import admin_service_pb2 as rpc
from runstore.v1.admin_service_pb2_grpc import AdminServiceStub

from bench.jobs.appends import PROJECT
from bench.jobs.channels import channel

POLL_SECONDS = 0.05


async def delete(address: str, run_id: str) -> dict[str, Any]:
    request = rpc.DeleteRunRequest(project=PROJECT, run_id=run_id, reason="bench")
    await AdminServiceStub(channel(address)).DeleteRun(request)
    return {}


async def gone(address: str, run_id: str) -> dict[str, Any]:
    """Return when nothing of the run is stored."""
    asked = rpc.ListRemovalsRequest(project=PROJECT, run_id=run_id)
    via = AdminServiceStub(channel(address))
    while (await via.ListRemovals(asked)).removals[0].state != admin_pb2.REMOVAL_STATE_DONE:  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)
    return {}


async def let_go(address: str) -> dict[str, Any]:
    """Have a policy let go every run that ended a second ago."""
    policy = admin_pb2.Policy(name="bench", keep_run=Duration(seconds=1))
    request = rpc.PutPolicyRequest(project=PROJECT, policy=policy, reason="bench")
    await AdminServiceStub(channel(address)).PutPolicy(request)
    return {}
