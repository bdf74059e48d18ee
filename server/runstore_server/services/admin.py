"""AdminService: who may use the server, how much of it, what may not be removed and what is, and
what was done about all that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf.message import Message
from runstore.v1 import admin_service_pb2 as rpc
from runstore.v1.admin_service_pb2_grpc import AdminServiceServicer
from runstore_storage.contract.access import SERVER, Grant, Role, allowed
from runstore_storage.contract.admin import Act, AdminStore, TokenCursor
from runstore_storage.contract.archives import ArchiveStore
from runstore_storage.contract.errors import StorageError, StorageUnavailable
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.holds import HoldCursor, HoldStore
from runstore_storage.contract.removals import RemovalStore

from runstore_server.convert.admin import (
    act_of,
    grant_messages,
    limits_message,
    limits_of,
    new_token_of,
    owner_of,
    principal_message,
    record_message,
    token_message,
)
from runstore_server.convert.archives import archive_message
from runstore_server.convert.holds import hold_message, new_hold_of
from runstore_server.convert.removals import removal_message
from runstore_server.convert.runs import project_of
from runstore_server.convert.times import timestamp
from runstore_server.edge.errors import PermissionDenied, reason_of
from runstore_server.edge.identity import current_identity
from runstore_server.edge.requests import request_id
from runstore_server.identity.tokens import new_token
from runstore_server.pages import page_tokens, time_tokens
from runstore_server.pages.sizes import DEFAULT_LONG_PAGE, DEFAULT_PAGE
from runstore_server.services.archives import Archives
from runstore_server.validation.requests import admit


class AdminService(AdminServiceServicer):
    def __init__(
        self,
        admin: AdminStore,
        holds: HoldStore,
        removals: RemovalStore,
        archives: ArchiveStore,
        exports: Archives,
    ) -> None:
        self._admin = admin
        self._holds = holds
        self._removals = removals
        self._archives = archives
        self._exports = exports

    async def WhoAmI(self, request: rpc.WhoAmIRequest, _context: Any) -> rpc.WhoAmIResponse:
        await admit(request)
        caller = current_identity()
        return rpc.WhoAmIResponse(
            principal=principal_message(caller.principal),
            grants=grant_messages(caller.grants),
            expires_at=timestamp(caller.expires_at) if caller.expires_at else None,
        )

    async def ListProjects(
        self, request: rpc.ListProjectsRequest, _context: Any
    ) -> rpc.ListProjectsResponse:
        await admit(request)
        token = request.page_token
        page = await self._admin.list_projects(
            {grant.pattern for grant in current_identity().grants},
            limit=request.page_size or DEFAULT_LONG_PAGE,
            after=page_tokens.read(request, token)[0] if token else "",
        )
        return rpc.ListProjectsResponse(
            projects=page.items,
            next_page_token=page_tokens.following(request, page.next_after),
        )

    async def CreateToken(
        self, request: rpc.CreateTokenRequest, context: Any
    ) -> rpc.CreateTokenResponse:
        await admit(request)
        made = new_token()
        new = new_token_of(request, made.token_id, made.secret_hash)
        async with self._recorded(_act(request, "tokens", context)) as act:
            for grant in new.grants:
                _check_holds(grant)
            token, is_repeat = await self._admin.create_token(new, act)
        return rpc.CreateTokenResponse(
            token=token_message(token),
            secret="" if is_repeat else made.text,
            deduplicated=is_repeat,
        )

    async def ListTokens(
        self, request: rpc.ListTokensRequest, _context: Any
    ) -> rpc.ListTokensResponse:
        await admit(request)
        page = await self._admin.list_tokens(
            owner_of(request),
            limit=request.page_size or DEFAULT_PAGE,
            after=time_tokens.read(request, TokenCursor),
        )
        after = page.next_after
        return rpc.ListTokensResponse(
            tokens=[token_message(each) for each in page.items],
            next_page_token=time_tokens.issue(request, after.created_at, after.token_id)
            if after
            else "",
        )

    async def RevokeToken(
        self, request: rpc.RevokeTokenRequest, context: Any
    ) -> rpc.RevokeTokenResponse:
        await admit(request)
        resource = f"tokens/{request.token_id}"
        async with self._recorded(_act(request, resource, context)) as act:
            token, is_repeat = await self._admin.revoke_token(request.token_id, act)
        return rpc.RevokeTokenResponse(token=token_message(token), deduplicated=is_repeat)

    async def SetLimits(self, request: rpc.SetLimitsRequest, context: Any) -> rpc.SetLimitsResponse:
        await admit(request)
        async with self._recorded(_act(request, "limits", context)) as act:
            limits, is_repeat = await self._admin.set_limits(limits_of(request.limits), act)
        return rpc.SetLimitsResponse(limits=limits_message(limits), deduplicated=is_repeat)

    async def GetLimits(
        self, request: rpc.GetLimitsRequest, _context: Any
    ) -> rpc.GetLimitsResponse:
        await admit(request)
        found = await self._admin.get_limits(project_of(request.project))
        return rpc.GetLimitsResponse(
            limits=limits_message(found.limits),
            updated_at=timestamp(found.updated_at) if found.updated_at else None,
            stored_bytes_used=found.stored_bytes_used,
        )

    async def ListAdminRecords(
        self, request: rpc.ListAdminRecordsRequest, _context: Any
    ) -> rpc.ListAdminRecordsResponse:
        await admit(request)
        page = await self._admin.list_records(
            owner_of(request),
            limit=request.page_size or DEFAULT_PAGE,
            after=page_tokens.number(request, request.page_token),
        )
        return rpc.ListAdminRecordsResponse(
            records=[record_message(each) for each in page.items],
            next_page_token=page_tokens.following(request, page.next_after),
        )

    async def VerifyAdminRecords(
        self, request: rpc.VerifyAdminRecordsRequest, _context: Any
    ) -> rpc.VerifyAdminRecordsResponse:
        await admit(request)
        found = await self._admin.verify_records(owner_of(request), from_number=request.from_number)
        return rpc.VerifyAdminRecordsResponse(
            checked_records=found.checked_records,
            last_number=found.last_number,
            last_hash=found.last_hash,
            problem=found.problem,
            problem_number=found.problem_number,
        )

    def ExportRun(
        self, request: rpc.ExportRunRequest, context: Any
    ) -> AsyncIterator[rpc.ExportRunResponse]:
        return self._exports.ExportRun(request, context)

    async def PlaceHold(self, request: rpc.PlaceHoldRequest, context: Any) -> rpc.PlaceHoldResponse:
        await admit(request)
        async with self._recorded(_act(request, "holds", context)) as act:
            hold, is_repeat = await self._holds.place_hold(new_hold_of(request), act)
        return rpc.PlaceHoldResponse(hold=hold_message(hold), deduplicated=is_repeat)

    async def ReleaseHold(
        self, request: rpc.ReleaseHoldRequest, context: Any
    ) -> rpc.ReleaseHoldResponse:
        await admit(request)
        resource = f"holds/{request.hold_id}"
        async with self._recorded(_act(request, resource, context)) as act:
            hold, is_repeat = await self._holds.release_hold(request.hold_id, act)
        return rpc.ReleaseHoldResponse(hold=hold_message(hold), deduplicated=is_repeat)

    async def ListHolds(
        self, request: rpc.ListHoldsRequest, _context: Any
    ) -> rpc.ListHoldsResponse:
        await admit(request)
        page = await self._holds.list_holds(
            project_of(request.project),
            run_id=request.run_id,
            released=request.include_released,
            limit=request.page_size or DEFAULT_PAGE,
            after=time_tokens.read(request, HoldCursor),
        )
        after = page.next_after
        return rpc.ListHoldsResponse(
            holds=[hold_message(each) for each in page.items],
            next_page_token=time_tokens.issue(request, after.placed_at, after.hold_id)
            if after
            else "",
        )

    async def DeleteRun(self, request: rpc.DeleteRunRequest, context: Any) -> rpc.DeleteRunResponse:
        await admit(request)
        key = RunKey(project_of(request.project), request.run_id)
        is_expected = request.HasField("expected_last_seq")
        async with self._recorded(_act(request, f"runs/{request.run_id}", context)) as act:
            removal, is_repeat = await self._removals.delete_run(
                key, expected_last_seq=request.expected_last_seq if is_expected else None, act=act
            )
        return rpc.DeleteRunResponse(removal=removal_message(removal), deduplicated=is_repeat)

    async def ListRemovals(
        self, request: rpc.ListRemovalsRequest, _context: Any
    ) -> rpc.ListRemovalsResponse:
        await admit(request)
        page = await self._removals.list_removals(
            project_of(request.project),
            run_id=request.run_id,
            limit=request.page_size or DEFAULT_PAGE,
            after=page_tokens.number(request, request.page_token),
        )
        return rpc.ListRemovalsResponse(
            removals=[removal_message(each) for each in page.items],
            next_page_token=page_tokens.following(request, page.next_after),
        )

    async def ArchiveRun(
        self, request: rpc.ArchiveRunRequest, context: Any
    ) -> rpc.ArchiveRunResponse:
        await admit(request)
        is_expected = request.HasField("expected_last_seq")
        async with self._recorded(_act(request, f"runs/{request.run_id}", context)) as act:
            archive, is_repeat = await self._archives.archive_run(
                RunKey(project_of(request.project), request.run_id),
                expected_last_seq=request.expected_last_seq if is_expected else None,
                act=act,
            )
        return rpc.ArchiveRunResponse(archive=archive_message(archive), deduplicated=is_repeat)

    async def RestoreRun(
        self, request: rpc.RestoreRunRequest, context: Any
    ) -> rpc.RestoreRunResponse:
        await admit(request)
        key = RunKey(project_of(request.project), request.run_id)
        async with self._recorded(_act(request, f"runs/{request.run_id}", context)) as act:
            archive, is_repeat = await self._archives.restore_run(key, act)
        return rpc.RestoreRunResponse(archive=archive_message(archive), deduplicated=is_repeat)

    async def record_refusal(self, request: Message, error: Exception, context: Any) -> None:
        """Record a call that was refused at the edge, if it would have changed something."""
        if isinstance(request, _ACTS):
            await self._admin.record_refusal(_act(request, "", context), reason_of(error))

    @asynccontextmanager
    async def _recorded(self, act: Act) -> AsyncIterator[Act]:
        """Record the act as refused if it fails; the store records it if it does not."""
        try:
            yield act
        except StorageUnavailable:
            raise
        except (StorageError, PermissionDenied) as error:
            await self._admin.record_refusal(act, reason_of(error))
            raise


_ACTS = (
    rpc.CreateTokenRequest,
    rpc.RevokeTokenRequest,
    rpc.SetLimitsRequest,
    rpc.PlaceHoldRequest,
    rpc.ReleaseHoldRequest,
    rpc.DeleteRunRequest,
    rpc.ArchiveRunRequest,
    rpc.RestoreRunRequest,
)


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


def _check_holds(grant: Grant) -> None:
    """Raise `PermissionDenied` unless the caller holds what it gives, or is an operator."""
    grants = current_identity().grants
    if not allowed(grants, Role.OPERATOR, SERVER) and not any(
        own.contains(grant) for own in grants
    ):
        raise PermissionDenied(grant.pattern, grant.role)
