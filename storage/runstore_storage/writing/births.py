"""What saving and forking share: whether the run was born before, and its first head."""

from __future__ import annotations

from datetime import datetime

from runstore_storage.contract.errors import IdempotencyMismatch, RunIdReserved
from runstore_storage.contract.events import Usage
from runstore_storage.contract.heads import Outcome, RunKey, RunStatus
from runstore_storage.database.connection import Connection
from runstore_storage.run_write import FIRST_EPOCH
from runstore_storage.sql import runs
from runstore_storage.sql.heads import Ancestor, Head


async def is_born(conn: Connection, key: RunKey, request_hash: bytes) -> bool:
    """Whether the request of this hash made the run.

    Raise `IdempotencyMismatch` if another did, and `RunIdReserved` if that run was deleted.
    """
    before = await runs.identity(conn, key)
    if before and before.was_deleted:
        raise RunIdReserved(key)
    if before and not before.is_of(request_hash):
        raise IdempotencyMismatch("run", key.run_id)
    return before is not None


def first_head(
    run: int,
    begun_at: datetime,
    last_hash: bytes,
    *,
    is_external: bool = False,
    last_seq: int = 0,
    lineage: tuple[Ancestor, ...] = (),
) -> Head:
    """The head of a new run; a fork has the last seq and the lineage of its history."""
    return Head(
        run=run,
        last_seq=last_seq,
        last_hash=last_hash,
        status=RunStatus.EXTERNAL if is_external else RunStatus.RUNNING,
        outcome=Outcome.UNSPECIFIED,
        writer_epoch=FIRST_EPOCH,
        usage=Usage(),
        updated_at=begun_at,
        completed_at=None,
        lineage=lineage,
    )
