"""Which snapshots are read."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from runstore_server.http.parameters.queries import text
from runstore_server.validation.bounds import NAMESPACE, REQUIRED_ID

Namespace = Annotated[str | None, text(NAMESPACE, "Namespace of snapshots.")]
SnapshotId = Annotated[
    str,
    Path(
        min_length=REQUIRED_ID.low,
        max_length=REQUIRED_ID.high,
        description="The snapshot's id, percent-encoded.",
    ),
]
