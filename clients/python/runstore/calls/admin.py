"""Calls about who may use the server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from runstore.calls.call import ADMIN, PAGE_SIZE, Call, Page, page_of
from runstore.errors import TokenSecretLost
from runstore.ids import new_id
from runstore.v1 import admin_pb2
from runstore.v1 import admin_service_pb2 as rpc
from runstore.values.admin import (
    AdminRecord,
    Caller,
    Grant,
    Limits,
    NewToken,
    ProjectLimits,
    RecordVerification,
    Token,
)
from runstore.wire.admin import (
    caller_value,
    grant_messages,
    limits_value,
    project_limits_value,
    record_value,
    token_value,
    verification_value,
)
from runstore.wire.messages import message_of
from runstore.wire.times import span_message


def who_am_i() -> Call[Caller]:
    return Call(ADMIN, "WhoAmI", rpc.WhoAmIRequest(), caller_value)


def list_projects(page_token: str) -> Call[Page[str]]:
    request = message_of(rpc.ListProjectsRequest, page_size=PAGE_SIZE, page_token=page_token)
    return Call(ADMIN, "ListProjects", request, page_of("projects", str))


def create_token(
    project: str,
    name: str,
    grants: Sequence[Grant | str],
    lifetime: timedelta | None,
    of_server: bool,
) -> Call[NewToken]:
    request = message_of(
        rpc.CreateTokenRequest,
        project=project,
        of_server=of_server,
        name=name,
        grants=grant_messages(grants),
        lifetime=None if lifetime is None else span_message(lifetime, "lifetime"),
        request_id=new_id(),
    )
    return Call(ADMIN, "CreateToken", request, _new_token)


def list_tokens(project: str, of_server: bool, page_token: str) -> Call[Page[Token]]:
    request = message_of(
        rpc.ListTokensRequest,
        project=project,
        of_server=of_server,
        page_size=PAGE_SIZE,
        page_token=page_token,
    )
    return Call(ADMIN, "ListTokens", request, page_of("tokens", token_value))


def revoke_token(project: str, token_id: str, of_server: bool) -> Call[Token]:
    request = message_of(
        rpc.RevokeTokenRequest,
        project=project,
        of_server=of_server,
        token_id=token_id,
        request_id=new_id(),
    )
    return Call(ADMIN, "RevokeToken", request, lambda response: token_value(response.token))


def set_limits(
    project: str,
    calls_per_second: int,
    events_per_second: int,
    bytes_per_second: int,
    streams: int,
    stored_bytes: int,
) -> Call[Limits]:
    limits = message_of(
        admin_pb2.Limits,
        calls_per_second=calls_per_second,
        events_per_second=events_per_second,
        bytes_per_second=bytes_per_second,
        streams=streams,
        stored_bytes=stored_bytes,
    )
    request = message_of(rpc.SetLimitsRequest, project=project, limits=limits, request_id=new_id())
    return Call(ADMIN, "SetLimits", request, lambda response: limits_value(response.limits))


def get_limits(project: str) -> Call[ProjectLimits]:
    request = message_of(rpc.GetLimitsRequest, project=project)
    return Call(ADMIN, "GetLimits", request, project_limits_value)


def list_admin_records(project: str, of_server: bool, page_token: str) -> Call[Page[AdminRecord]]:
    request = message_of(
        rpc.ListAdminRecordsRequest,
        project=project,
        of_server=of_server,
        page_size=PAGE_SIZE,
        page_token=page_token,
    )
    return Call(ADMIN, "ListAdminRecords", request, page_of("records", record_value))


def verify_admin_records(
    project: str, of_server: bool, from_number: int
) -> Call[RecordVerification]:
    request = message_of(
        rpc.VerifyAdminRecordsRequest,
        project=project,
        of_server=of_server,
        from_number=from_number,
    )
    return Call(ADMIN, "VerifyAdminRecords", request, verification_value)


def _new_token(response: rpc.CreateTokenResponse) -> NewToken:
    """The token; raise `TokenSecretLost` if an answer that was lost had its secret."""
    if not response.secret:
        raise TokenSecretLost(response.token.token_id)
    return NewToken(token_value(response.token), response.secret)
