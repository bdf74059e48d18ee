"""requests: first answers to writes that are recognised by a name of the caller's."""

from __future__ import annotations

import json
from collections.abc import Mapping

from runstore_storage.contract.errors import IdempotencyMismatch
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import statement

Answer = Mapping[str, str | int]

_FIND = statement(
    "SELECT body_hash, answer::text FROM requests WHERE run = :run AND request_id = :request_id"
)
_INSERT = statement(
    "INSERT INTO requests (run, request_id, body_hash, answer)"
    " VALUES (:run, :request_id, :body_hash, CAST(CAST(:answer AS text) AS jsonb))"
)


async def find(conn: Connection, run: int, request_id: str, body_hash: bytes) -> Answer | None:
    """The first answer to this request, or None; raise `IdempotencyMismatch` for another body."""
    found = await conn.execute(_FIND, {"run": run, "request_id": request_id})
    row = found.one_or_none()
    if row is None:
        return None
    if row[0] != body_hash:
        raise IdempotencyMismatch("request", request_id)
    answer: Answer = json.loads(row[1])
    return answer


async def insert(
    conn: Connection, run: int, request_id: str, body_hash: bytes, answer: Answer
) -> None:
    """Remember the first answer."""
    await conn.execute(
        _INSERT,
        {
            "run": run,
            "request_id": request_id,
            "body_hash": body_hash,
            "answer": json.dumps(answer),
        },
    )
