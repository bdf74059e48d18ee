"""Acts: administrative calls that change something, recorded whether they succeed or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf.message import Message
from runstore.v1 import admin_service_pb2 as rpc
from runstore_storage.contract.admin import Act, AdminStore
from runstore_storage.contract.errors import StorageError, StorageUnavailable

from runstore_server.convert.admin import act_of
from runstore_server.edge.errors import PermissionDenied, reason_of
from runstore_server.edge.identity import current_identity
from runstore_server.edge.requests import request_id

_ACTS = (
    rpc.CreateTokenRequest,
    rpc.RevokeTokenRequest,
    rpc.SetLimitsRequest,
    rpc.PlaceHoldRequest,
    rpc.ReleaseHoldRequest,
    rpc.DeleteRunRequest,
    rpc.EraseEventsRequest,
    rpc.EraseSubjectRequest,
    rpc.PutPolicyRequest,
    rpc.DeletePolicyRequest,
    rpc.ArchiveRunRequest,
    rpc.RestoreRunRequest,
)


class Acts:
    """Records what is refused; what is done, the store records."""

    def __init__(self, admin: AdminStore) -> None:
        self._admin = admin

    @asynccontextmanager
    async def recorded(self, request: Any, resource: str, context: Any) -> AsyncIterator[Act]:
        """A request as an act, which is recorded as refused if it fails."""
        act = _act(request, resource, context)
        try:
            yield act
        except StorageUnavailable:
            raise
        except (StorageError, PermissionDenied) as error:
            await self._admin.record_refusal(act, reason_of(error))
            raise

    async def record_refusal(self, request: Message, error: Exception, context: Any) -> None:
        """Record a call that was refused at the edge, if it would have changed something."""
        if isinstance(request, _ACTS):
            await self._admin.record_refusal(_act(request, "", context), reason_of(error))


def _act(request: Any, resource: str, context: Any) -> Act:
    caller = current_identity()
    return act_of(
        request,
        resource,
        caller.principal,
        grants=caller.grants,
        peer=context.peer(),
        call_id=request_id.get(),
    )
