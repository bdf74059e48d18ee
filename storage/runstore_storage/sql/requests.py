"""requests: the first response to each write that carries a request id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from runstore_storage.contract.errors import IdempotencyMismatch
from runstore_storage.sql.inserts import Insert, Target

StoredResponse = Mapping[str, str | int]

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


def insert(run: int, request_id: str, body_hash: bytes, response: StoredResponse) -> Insert:
    """What keeps the first response."""
    return Insert(_TARGET, [(run, request_id, body_hash, json.dumps(response))])
