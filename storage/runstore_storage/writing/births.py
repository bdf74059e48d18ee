"""The head that a run is born with."""

from __future__ import annotations

from datetime import datetime

from runstore_storage.contract.events import Usage
from runstore_storage.contract.heads import Outcome, RunStatus
from runstore_storage.run_write import FIRST_EPOCH
from runstore_storage.sql.heads import Ancestor, Head


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
