"""What is refused of runs, their events, snapshots and outputs."""

from __future__ import annotations

from runstore_storage.contract.errors.base import StorageError
from runstore_storage.contract.heads import Outcome, RunKey


class RunNotFound(StorageError):
    """`was_deleted`: there was such a run, so nobody need wait for it."""

    def __init__(self, key: RunKey, *, was_deleted: bool = False) -> None:
        message = f"project {key.project!r} has no run {key.run_id!r}"
        super().__init__(message, project=key.project, run_id=key.run_id)
        self.was_deleted = was_deleted


class SnapshotNotFound(StorageError):
    def __init__(self, run_id: str, snapshot: str) -> None:
        super().__init__(
            f"run {run_id!r} has no snapshot {snapshot}", run_id=run_id, snapshot=snapshot
        )


class OutputNotFound(StorageError):
    def __init__(self, run_id: str, revision: int) -> None:
        wanted = f"output revision {revision}" if revision else "output yet"
        super().__init__(f"run {run_id!r} has no {wanted}", run_id=run_id, revision=revision)


class IdempotencyMismatch(StorageError):
    def __init__(self, what: str, id: str) -> None:  # noqa: A002 - the metadata key is `id`
        super().__init__(f"{what} {id!r} was used before with different content", id=id)


class SeqConflict(StorageError):
    def __init__(self, run_id: str, expected_seq: int, current_seq: int) -> None:
        super().__init__(
            f"run {run_id!r} is at seq {current_seq}, not {expected_seq}",
            run_id=run_id,
            expected_seq=expected_seq,
            current_seq=current_seq,
        )


class WriterFenced(StorageError):
    def __init__(self, run_id: str, writer_epoch: int, current_epoch: int) -> None:
        super().__init__(
            f"run {run_id!r} was claimed by epoch {current_epoch}; epoch {writer_epoch} is fenced",
            run_id=run_id,
            writer_epoch=writer_epoch,
            current_epoch=current_epoch,
        )


class WriterEpochUnknown(StorageError):
    def __init__(self, run_id: str, writer_epoch: int, current_epoch: int) -> None:
        super().__init__(
            f"run {run_id!r} is at epoch {current_epoch} and never issued epoch {writer_epoch}",
            run_id=run_id,
            writer_epoch=writer_epoch,
            current_epoch=current_epoch,
        )


class RunCompleted(StorageError):
    def __init__(self, run_id: str, last_seq: int) -> None:
        super().__init__(
            f"run {run_id!r} was completed at seq {last_seq}", run_id=run_id, last_seq=last_seq
        )


class OutcomeConflict(StorageError):
    def __init__(self, run_id: str, outcome: Outcome) -> None:
        super().__init__(
            f"run {run_id!r} was completed as {outcome.name}", run_id=run_id, outcome=outcome.name
        )


class OutcomeRequired(StorageError):
    def __init__(self, run_id: str) -> None:
        needs = "must be completed with an outcome: no external engine owns its status"
        super().__init__(f"run {run_id!r} {needs}", run_id=run_id)


class SnapshotAhead(StorageError):
    def __init__(self, run_id: str, seq: int, last_seq: int) -> None:
        super().__init__(
            f"snapshot at seq {seq} is ahead of run {run_id!r}, which is at {last_seq}",
            run_id=run_id,
            seq=seq,
            last_seq=last_seq,
        )


class UnknownRef(StorageError):
    def __init__(self, run_id: str, sha256: bytes) -> None:
        super().__init__(
            f"run {run_id!r} never stored content {sha256.hex()}", run_id=run_id, ref=sha256.hex()
        )


class SeqAhead(StorageError):
    def __init__(self, run_id: str, seq: int, last_seq: int) -> None:
        super().__init__(
            f"seq {seq} is ahead of run {run_id!r}, which is at {last_seq}",
            run_id=run_id,
            seq=seq,
            last_seq=last_seq,
        )
