"""Grants, tokens, limits and records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from runstore.v1 import admin_pb2
from runstore_storage.contract.access import SERVER, Grant, Principal, Role
from runstore_storage.contract.admin import AdminRecord, Limits, Token

from runstore_server.convert.runs import project_of
from runstore_server.convert.times import timestamp


class OfProjectOrServer(Protocol):
    """A request about a project, or about the server itself."""

    project: str
    of_server: bool


def owner_of(request: OfProjectOrServer) -> str:
    """The project, or SERVER."""
    return SERVER if request.of_server else project_of(request.project)


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
    )


def limits_message(limits: Limits) -> admin_pb2.Limits:
    return admin_pb2.Limits(
        calls_per_second=limits.calls_per_second,
        events_per_second=limits.events_per_second,
        bytes_per_second=limits.bytes_per_second,
        streams=limits.streams,
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
