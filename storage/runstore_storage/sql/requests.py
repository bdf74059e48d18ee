"""requests: the first response to each write that carries a request id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from runstore_storage.contract.errors import IdempotencyMismatch
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import statement
from runstore_storage.sql.inserts import Insert, Target

StoredResponse = Mapping[str, str | int]

_FIND = statement(
    "SELECT body_hash, answer::text FROM requests WHERE run = :run AND request_id = :request_id"
)
_TARGET = Target(
    "requests",
    (("run", "bigint"), ("request_id", "text"), ("body_hash", "bytea"), ("answer", "jsonb")),
)


class FirstAnswer(NamedTuple):
    """The hash of a request, and the first response to it as JSON text."""

    body_hash: bytes
    text: str

    def to(self, request_id: str, body_hash: bytes) -> StoredResponse:
        """The response; raise `IdempotencyMismatch` if it answered another body."""
        if self.body_hash != body_hash:
            raise IdempotencyMismatch("request", request_id)
        response: StoredResponse = json.loads(self.text)
        return response


async def find(
    conn: Connection, run: int, request_id: str, body_hash: bytes
) -> StoredResponse | None:
    """The first response to this request, or None; raise `IdempotencyMismatch` for another body."""
    found = await conn.execute(_FIND, {"run": run, "request_id": request_id})
    row = found.one_or_none()
    return FirstAnswer(*row).to(request_id, body_hash) if row else None


def insert(run: int, request_id: str, body_hash: bytes, response: StoredResponse) -> Insert:
    """What keeps the first response."""
    return Insert(_TARGET, [(run, request_id, body_hash, json.dumps(response))])
