"""Recording acts: numbered, chained, in the transaction of what is recorded.

    hash = SHA-256("admin-record", previous hash, project, number, recorded_at, method, resource,
                   principal kind, id and issuer, grants, allowed, peer, call id, request id,
                   request, status)

in the canonical text of `chain.py`. The first record's previous hash is 32 zero bytes; a grant is
written as role@pattern, allowed as 1 or 0, times as microseconds.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from runstore_storage.chain.canonical import canonical
from runstore_storage.contract.admin import Act, AdminRecord, RecordVerification
from runstore_storage.contract.errors import IdempotencyMismatch
from runstore_storage.contract.times import microseconds
from runstore_storage.database.connection import Connection
from runstore_storage.sql import admin_records

OK = "OK"
PAGE = 1000


def record_hash(record: AdminRecord) -> bytes:
    """The hash that a record must have."""
    act = record.act
    return sha256(
        canonical(
            "admin-record",
            record.previous_hash,
            act.project,
            record.number,
            microseconds(record.recorded_at),
            act.method,
            act.resource,
            act.principal.kind.name,
            act.principal.id,
            act.principal.issuer,
            canonical(*map(str, act.grants)),
            int(record.is_allowed),
            act.peer,
            act.call_id,
            act.request_id,
            act.request,
            record.status,
        )
    ).digest()


async def record(conn: Connection, act: Act, *, is_allowed: bool, status: str) -> AdminRecord:
    """Add a record to the act's chain, which stays locked until the transaction ends."""
    last, hash_, now = await admin_records.lock(conn, act.project)
    added = AdminRecord(act, last + 1, now, is_allowed, status, hash_, b"")
    added = replace(added, hash=record_hash(added))
    await admin_records.insert(conn, added)
    return added


async def repeated(conn: Connection, act: Act) -> AdminRecord | None:
    """Lock the act's chain; the record of the act, if this one repeats it.

    Raise `IdempotencyMismatch` if its request_id stands for another act.
    """
    await admin_records.lock(conn, act.project)
    if not act.request_id:
        return None
    before = await admin_records.find_request(conn, act.project, act.request_id)
    if before and (before.act.method, before.act.request) != (act.method, act.request):
        raise IdempotencyMismatch("request", act.request_id)
    return before


async def verify(conn: Connection, project: str, from_number: int) -> RecordVerification:
    """Recompute the chain from a number on, up to the first record that is wrong."""
    first = expected = max(from_number, 1)
    previous, problem = await _hash_before(conn, project, first), ""
    while records := await admin_records.from_number(conn, project, expected, limit=PAGE):
        for each in records:
            if problem := _problem(each, expected, previous):
                break
            expected, previous = expected + 1, each.hash
        if problem:
            break
    newest = await admin_records.page(conn, project, limit=1, before=None)
    last, last_hash = (newest[0].number, newest[0].hash) if newest else (0, admin_records.NO_HASH)
    return RecordVerification(
        expected - first, last, last_hash, problem, expected if problem else 0
    )


async def _hash_before(conn: Connection, project: str, number: int) -> bytes:
    """The hash that a record must follow; empty if the record before it is missing."""
    if number == 1:
        return admin_records.NO_HASH
    found = await admin_records.from_number(conn, project, number - 1, limit=1)
    return found[0].hash if found else b""


def _problem(found: AdminRecord, expected: int, previous: bytes) -> str:
    """What is wrong with a record, empty if nothing is."""
    if found.number != expected:
        return f"record {expected} is missing"
    if found.previous_hash != previous:
        return "the record does not follow the one before it"
    if found.hash != record_hash(found):
        return "the record is not what its hash was made of"
    return ""
