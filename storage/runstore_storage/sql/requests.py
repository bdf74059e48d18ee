"""requests: the first response to each write that carries a request id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from runstore_storage import chain
from runstore_storage.chain import Salt
from runstore_storage.contract.errors import IdempotencyMismatch
from runstore_storage.sql.inserts import Insert, Target

StoredResponse = Mapping[str, str | int]

_TARGET = Target(
    "requests",
    (
        ("run", "bigint"),
        ("request_id", "text"),
        ("salt", "bytea"),
        ("body_hash", "bytea"),
        ("answer", "jsonb"),
    ),
)


SELECTED = "q.salt, q.body_hash, q.answer::text"
"""What a `FirstAnswer` is made of."""


class FirstAnswer(NamedTuple):
    """The salted hash of a request, and the first response to it as JSON text."""

    salt: Salt
    body_hash: bytes
    text: str

    def to(self, request_id: str, body_hash: bytes) -> StoredResponse:
        """The response; raise `IdempotencyMismatch` if it answered another body."""
        if self.body_hash != chain.salted_hash(body_hash, self.salt):
            raise IdempotencyMismatch("request", request_id)
        response: StoredResponse = json.loads(self.text)
        return response


def insert(
    run: int, request_id: str, body_hash: bytes, response: StoredResponse, salt: Salt
) -> Insert:
    """What keeps the first response."""
    kept = chain.salted_hash(body_hash, salt)
    return Insert(_TARGET, [(run, request_id, salt, kept, json.dumps(response))])
