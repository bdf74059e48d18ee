"""Grants, tokens, limits and records as messages, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runstore.arguments import instance, member, sequence
from runstore.v1 import admin_pb2
from runstore.v1 import admin_service_pb2 as rpc
from runstore.values.admin import (
    AdminRecord,
    Caller,
    Grant,
    Limits,
    Principal,
    PrincipalKind,
    ProjectLimits,
    RecordVerification,
    Role,
    Token,
)
from runstore.wire.messages import message_at
from runstore.wire.times import optional_time, time_value


def grant_messages(grants: Sequence[Grant | str]) -> list[admin_pb2.Grant]:
    """The messages of grants, each a value or written as role@pattern."""
    return [
        _grant_message(each, f"grants[{index}]")
        for index, each in enumerate(sequence(grants, "Grant", "grants"))
    ]


def _grant_message(given: object, field: str) -> admin_pb2.Grant:
    grant = Grant.parse(given, field) if isinstance(given, str) else instance(given, Grant, field)
    return message_at(
        f"{field}.",
        admin_pb2.Grant,
        role=admin_pb2.Role.ValueType(member(grant.role, Role, f"{field}.role")),
        project_pattern=grant.project_pattern,
    )


def _grants(messages: Iterable[admin_pb2.Grant]) -> tuple[Grant, ...]:
    return tuple(Grant(Role(each.role), each.project_pattern) for each in messages)


def principal_value(message: admin_pb2.Principal) -> Principal:
    return Principal(PrincipalKind(message.kind), message.id, message.issuer)


def caller_value(message: rpc.WhoAmIResponse) -> Caller:
    return Caller(
        principal_value(message.principal),
        _grants(message.grants),
        optional_time(message, "expires_at"),
    )


def token_value(message: admin_pb2.Token) -> Token:
    return Token(
        token_id=message.token_id,
        prefix=message.prefix,
        name=message.name,
        grants=_grants(message.grants),
        created_by=principal_value(message.created_by),
        created_at=time_value(message.created_at),
        expires_at=time_value(message.expires_at),
        revoked_at=optional_time(message, "revoked_at"),
        last_used_at=optional_time(message, "last_used_at"),
    )


def limits_value(message: admin_pb2.Limits) -> Limits:
    return Limits(
        calls_per_second=message.calls_per_second,
        events_per_second=message.events_per_second,
        bytes_per_second=message.bytes_per_second,
        streams=message.streams,
        stored_bytes=message.stored_bytes,
    )


def project_limits_value(message: rpc.GetLimitsResponse) -> ProjectLimits:
    return ProjectLimits(
        limits=limits_value(message.limits),
        updated_at=optional_time(message, "updated_at"),
        stored_bytes_used=message.stored_bytes_used,
    )


def record_value(message: admin_pb2.AdminRecord) -> AdminRecord:
    return AdminRecord(
        number=message.number,
        recorded_at=time_value(message.recorded_at),
        method=message.method,
        resource=message.resource,
        principal=principal_value(message.principal),
        grants=_grants(message.grants),
        allowed=message.allowed,
        peer=message.peer,
        request_id=message.request_id,
        call_id=message.call_id,
        request=message.request,
        status=message.status,
        previous_hash=message.previous_hash,
        hash=message.hash,
    )


def verification_value(message: rpc.VerifyAdminRecordsResponse) -> RecordVerification:
    return RecordVerification(
        message.checked_records,
        message.last_number,
        message.last_hash,
        message.problem,
        message.problem_number,
    )
