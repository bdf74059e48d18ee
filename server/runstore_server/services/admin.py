"""Who may use the server, how much of it, and what was done about that."""

from __future__ import annotations

from typing import Any, TypeVar

from runstore.v1 import admin_service_pb2 as rpc
from runstore_storage.contract.access import SERVER, Grant, Role, allowed
from runstore_storage.contract.admin import AdminStore, TokenCursor
from runstore_storage.contract.holds import HoldCursor

from runstore_server.convert.admin import (
    grant_messages,
    limits_message,
    limits_of,
    new_token_of,
    owner_of,
    principal_message,
    record_message,
    token_message,
)
from runstore_server.convert.runs import project_of
from runstore_server.convert.times import timestamp
from runstore_server.edge.errors import PermissionDenied
from runstore_server.edge.identity import current_identity
from runstore_server.identity.tokens import new_token
from runstore_server.pages import page_tokens
from runstore_server.pages.sizes import DEFAULT_LONG_PAGE, DEFAULT_PAGE
from runstore_server.services.acts import Acts
from runstore_server.validation.requests import admit

Cursor = TypeVar("Cursor", TokenCursor, HoldCursor)


class Admin:
    def __init__(self, admin: AdminStore, acts: Acts) -> None:
        self._admin = admin
        self._acts = acts

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
        async with self._acts.recorded(request, "tokens", context) as act:
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
            after=page_tokens.moment(request, request.page_token, TokenCursor),
        )
        after = page.next_after
        return rpc.ListTokensResponse(
            tokens=[token_message(each) for each in page.items],
            next_page_token=page_tokens.at_moment(request, after.created_at, after.token_id)
            if after
            else "",
        )

    async def RevokeToken(
        self, request: rpc.RevokeTokenRequest, context: Any
    ) -> rpc.RevokeTokenResponse:
        await admit(request)
        resource = f"tokens/{request.token_id}"
        async with self._acts.recorded(request, resource, context) as act:
            token, is_repeat = await self._admin.revoke_token(request.token_id, act)
        return rpc.RevokeTokenResponse(token=token_message(token), deduplicated=is_repeat)

    async def SetLimits(self, request: rpc.SetLimitsRequest, context: Any) -> rpc.SetLimitsResponse:
        await admit(request)
        async with self._acts.recorded(request, "limits", context) as act:
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


def _check_holds(grant: Grant) -> None:
    """Raise `PermissionDenied` unless the caller holds what it gives, or is an operator."""
    grants = current_identity().grants
    if not allowed(grants, Role.OPERATOR, SERVER) and not any(
        own.contains(grant) for own in grants
    ):
        raise PermissionDenied(grant.pattern, grant.role)
