"""Callers, limits, and the records of acts."""

from __future__ import annotations

import runstore

from runstore_server.json.texts import hash_text, time_text
from runstore_server.json.tokens import principal_value
from runstore_server.json.writing import JsonObject


def caller_value(caller: runstore.Caller) -> JsonObject:
    return {
        "principal": principal_value(caller.principal),
        "grants": [str(grant) for grant in caller.grants],
        "expires_at": time_text(caller.expires_at),
    }


def limits_value(limits: runstore.Limits) -> JsonObject:
    return {
        "calls_per_second": limits.calls_per_second,
        "events_per_second": limits.events_per_second,
        "bytes_per_second": limits.bytes_per_second,
        "streams": limits.streams,
        "stored_bytes": limits.stored_bytes,
    }


def project_limits_value(found: runstore.ProjectLimits) -> JsonObject:
    return {
        **limits_value(found.limits),
        "stored_bytes_used": found.stored_bytes_used,
        "updated_at": time_text(found.updated_at),
    }


def record_value(record: runstore.AdminRecord) -> JsonObject:
    """A record; its request stays the text that the hash is of."""
    return {
        "number": record.number,
        "recorded_at": time_text(record.recorded_at),
        "method": record.method,
        "resource": record.resource,
        "principal": principal_value(record.principal),
        "grants": [str(grant) for grant in record.grants],
        "allowed": record.allowed,
        "peer": record.peer,
        "call_id": record.call_id,
        "request_id": record.request_id,
        "request": record.request,
        "status": record.status,
        "previous_hash": hash_text(record.previous_hash),
        "hash": hash_text(record.hash),
    }


def record_verification_value(found: runstore.RecordVerification) -> JsonObject:
    return {
        "verified": found.verified,
        "checked_records": found.checked_records,
        "last_number": found.last_number,
        "last_hash": hash_text(found.last_hash),
        "first_break": {"number": found.problem_number, "problem": found.problem}
        if found.problem
        else None,
    }
