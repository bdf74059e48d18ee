"""requests: the first response to each write that carries a request id."""

from __future__ import annotations

import json
from collections.abc import Mapping

from runstore_storage.contract.errors import IdempotencyMismatch
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import statement

StoredResponse = Mapping[str, str | int]

_FIND = statement(
    "SELECT body_hash, answer::text FROM requests WHERE run = :run AND request_id = :request_id"
)
_INSERT = statement("""
    INSERT INTO requests (run, request_id, body_hash, answer)
    VALUES (:run, :request_id, :body_hash, :answer::text::jsonb)
""")


async def find(
    conn: Connection, run: int, request_id: str, body_hash: bytes
) -> StoredResponse | None:
    """The first response to this request, or None; raise `IdempotencyMismatch` for another body."""
    found = await conn.execute(_FIND, {"run": run, "request_id": request_id})
    row = found.one_or_none()
    if row is None:
        return None
    if row["body_hash"] != body_hash:
        raise IdempotencyMismatch("request", request_id)
    response: StoredResponse = json.loads(row["answer"])
    return response


async def insert(
    conn: Connection, run: int, request_id: str, body_hash: bytes, response: StoredResponse
) -> None:
    """Keep the first response."""
    await conn.execute(
        _INSERT,
        {
            "run": run,
            "request_id": request_id,
            "body_hash": body_hash,
            "answer": json.dumps(response),
        },
    )
