"""Grants, tokens, limits and records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format
from runstore.v1 import admin_pb2
from runstore.v1 import admin_service_pb2 as rpc
from runstore_storage.contract.access import SERVER, Grant, Principal, Role
from runstore_storage.contract.admin import Act, AdminRecord, Limits, NewToken, Token

from runstore_server.convert.runs import project_of
from runstore_server.convert.times import micros_of, timestamp

DEFAULT_LIFETIME_SECONDS = 90 * 86_400


def owner_of(request: Any) -> str:
    """The project of a request, or SERVER if it is about the server itself, as some may be."""
    return SERVER if getattr(request, "of_server", False) else project_of(request.project)


def new_token_of(request: rpc.CreateTokenRequest, token_id: str, secret_hash: bytes) -> NewToken:
    """The token that is asked for, with an id and a secret of the caller's choice."""
    has_lifetime = request.HasField("lifetime")
    return NewToken(
        token_id=token_id,
        project=owner_of(request),
        name=request.name,
        grants=grants_of(request.grants),
        lifetime_seconds=micros_of(request.lifetime) / 1e6
        if has_lifetime
        else DEFAULT_LIFETIME_SECONDS,
        secret_hash=secret_hash,
    )


def act_of(
    request: Any,
    resource: str,
    principal: Principal,
    *,
    grants: tuple[Grant, ...] = (),
    peer: str = "",
    call_id: str,
) -> Act:
    """A request as the act that is recorded; none has secrets, nor names whom it is to forget."""
    return Act(
        project=owner_of(request),
        method=request.DESCRIPTOR.name.removesuffix("Request"),
        resource=resource,
        principal=principal,
        grants=grants,
        peer=peer,
        call_id=call_id,
        request_id=request.request_id,
        request=json_format.MessageToJson(
            _recorded(request), preserving_proto_field_name=True, indent=None
        ),
    )


def _recorded(request: Any) -> Any:
    if not isinstance(request, rpc.EraseSubjectRequest):
        return request
    recorded = rpc.EraseSubjectRequest()
    recorded.CopyFrom(request)
    recorded.ClearField("subject")
    return recorded


def grants_of(messages: Iterable[admin_pb2.Grant]) -> tuple[Grant, ...]:
    return tuple(Grant(Role(message.role), message.project_pattern) for message in messages)


def grant_messages(grants: Iterable[Grant]) -> list[admin_pb2.Grant]:
    return [
        admin_pb2.Grant(role=admin_pb2.Role.ValueType(grant.role), project_pattern=grant.pattern)
        for grant in grants
    ]


def principal_message(principal: Principal) -> admin_pb2.Principal:
    return admin_pb2.Principal(
        kind=admin_pb2.PrincipalKind.ValueType(principal.kind),
        id=principal.id,
        issuer=principal.issuer,
    )


def token_message(token: Token) -> admin_pb2.Token:
    return admin_pb2.Token(
        token_id=token.token_id,
        prefix=token.prefix,
        name=token.name,
        grants=grant_messages(token.grants),
        created_by=principal_message(token.created_by),
        created_at=timestamp(token.created_at),
        expires_at=timestamp(token.expires_at),
        revoked_at=timestamp(token.revoked_at) if token.revoked_at else None,
        last_used_at=timestamp(token.last_used_at) if token.last_used_at else None,
    )


def limits_of(message: admin_pb2.Limits) -> Limits:
    return Limits(
        calls_per_second=message.calls_per_second,
        events_per_second=message.events_per_second,
        bytes_per_second=message.bytes_per_second,
        streams=message.streams,
        stored_bytes=message.stored_bytes,
    )


def limits_message(limits: Limits) -> admin_pb2.Limits:
    return admin_pb2.Limits(
        calls_per_second=limits.calls_per_second,
        events_per_second=limits.events_per_second,
        bytes_per_second=limits.bytes_per_second,
        streams=limits.streams,
        stored_bytes=limits.stored_bytes,
    )


def record_message(record: AdminRecord) -> admin_pb2.AdminRecord:
    act = record.act
    return admin_pb2.AdminRecord(
        number=record.number,
        recorded_at=timestamp(record.recorded_at),
        method=act.method,
        resource=act.resource,
        principal=principal_message(act.principal),
        grants=grant_messages(act.grants),
        allowed=record.is_allowed,
        peer=act.peer,
        request_id=act.request_id,
        call_id=act.call_id,
        request=act.request,
        status=record.status,
        previous_hash=record.previous_hash,
        hash=record.hash,
    )
